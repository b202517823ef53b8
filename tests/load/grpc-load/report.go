package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// maxGroups is how many groups of failures the table shows; --json has them all.
const maxGroups = 20

// report prints the table and writes the files that were asked for.
func report(options options, log snapshot, s *summary) error {
	printTable(os.Stdout, s)
	if options.json != "" {
		if err := writeFile(options.json, func(out io.Writer) error { return writeJSON(out, s) }); err != nil {
			return err
		}
	}
	if options.records != "" {
		return writeFile(options.records, func(out io.Writer) error { return writeRecords(out, log) })
	}
	return nil
}

func writeFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		file.Close()
		return fmt.Errorf("%s: %w", path, err)
	}
	return file.Close()
}

func writeJSON(out io.Writer, s *summary) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(s)
}

func printTable(out io.Writer, s *summary) {
	rows := append(append([]phaseNumbers(nil), s.Phases...), phaseNumbers{"total", s.Total})
	width := 0
	for _, row := range rows {
		if len(row.Name) > width {
			width = len(row.Name)
		}
	}
	fmt.Fprintf(out, "%-*s  %8s %8s %7s %7s %8s %8s %8s  %s\n", width, "phase",
		"sent", "answered", "failed", "killed", "p50 ms", "p99 ms", "max ms", "generations")
	for _, row := range rows {
		fmt.Fprintf(out, "%-*s  %8d %8d %7d %7d %8.1f %8.1f %8.1f  %s\n", width, row.Name,
			row.Sent, row.Answered, row.Failed, row.Killed, row.P50, row.P99, row.Max, ranges(row.Generations))
	}
	fmt.Fprintf(out, "Times run from the intended start of a call, less the time that it asked the worker to take.\n")
	if s.Window.Inside.Sent > 0 {
		fmt.Fprintf(out, "p99 inside the windows %.1f ms (%d calls), outside %.1f ms (%d calls)\n",
			s.Window.Inside.P99, s.Window.Inside.Sent, s.Window.Outside.P99, s.Window.Outside.Sent)
	}
	printFailures(out, s.Failures)
}

// ranges writes sorted numbers briefly: 1-3,5.
func ranges(sorted []int) string {
	var parts []string
	for i := 0; i < len(sorted); {
		j := i
		for j+1 < len(sorted) && sorted[j+1] == sorted[j]+1 {
			j++
		}
		part := strconv.Itoa(sorted[i])
		if j > i {
			part += "-" + strconv.Itoa(sorted[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ",")
}

func printFailures(out io.Writer, failures []failure) {
	for i, f := range failures {
		if i == maxGroups {
			fmt.Fprintf(out, "... and %d more kinds of failures\n", len(failures)-maxGroups)
			return
		}
		worker := "no known worker"
		if f.Pid != 0 {
			worker = fmt.Sprintf("worker %d", f.Pid)
		}
		fmt.Fprintf(out, "failed %d times in phase %s, stream %s, %s: %s\n", f.Count, f.Phase, f.Stream, worker, f.Cause)
	}
}

func writeRecords(out io.Writer, log snapshot) error {
	lines := csv.NewWriter(out)
	lines.Write([]string{"stream", "phase", "window", "intended_usec", "sent_usec", "ended_usec", "service_usec",
		"pid", "generation", "code", "result", "cause"})
	for _, r := range log.records {
		result := "failed"
		if r.answered() {
			result = "answered"
		} else if wasKilled(r, log.kills) {
			result = "killed"
		}
		lines.Write([]string{r.stream, log.phases[r.phase], strconv.FormatBool(r.window),
			strconv.FormatInt(r.intended, 10), strconv.FormatInt(r.sent, 10), strconv.FormatInt(r.ended, 10),
			strconv.FormatInt(r.service, 10), strconv.Itoa(r.pid), strconv.Itoa(r.generation),
			r.code.String(), result, r.cause})
	}
	lines.Flush()
	return lines.Error()
}
