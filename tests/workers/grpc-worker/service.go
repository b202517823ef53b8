package main

import (
	"context"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"handover/tests/grpc/echo"
)

// service implements echo.Server.
type service struct {
	identity   echo.Reply // all but the number
	wrongAfter int64      // negative: never
	answered   int64
}

func newService(options options) *service {
	return &service{
		identity: echo.Reply{
			Pid:        int64(os.Getpid()),
			Slot:       environmentNumber("HANDOVER_SLOT"),
			Generation: environmentNumber("HANDOVER_GENERATION"),
			Version:    options.version,
		},
		wrongAfter: options.wrongAnswerAfter,
	}
}

// environmentNumber returns 0 where the supervisor has not said.
func environmentNumber(name string) int64 {
	number, err := strconv.ParseUint(os.Getenv(name), 10, 31)
	if err != nil {
		return 0
	}
	return int64(number)
}

// header is the initial metadata that says who we are.
func (s *service) header() metadata.MD {
	return metadata.Pairs(
		echo.PidKey, strconv.FormatInt(s.identity.Pid, 10),
		echo.GenerationKey, strconv.FormatInt(s.identity.Generation, 10))
}

func (s *service) reply(number int64) *echo.Reply {
	reply := s.identity
	reply.Number = number
	return &reply
}

func (s *service) Unary(ctx context.Context, req *echo.Request) (*echo.Reply, error) {
	if err := wait(ctx, time.Now().Add(milliseconds(req.DelayMs))); err != nil {
		return nil, err
	}
	number := req.Number + 1
	if atomic.AddInt64(&s.answered, 1) == s.wrongAfter+1 {
		number++
	}
	return s.reply(number), nil
}

func (s *service) ServerStream(ctx context.Context, req *echo.Request, send func(*echo.Reply) error) error {
	start := time.Now()
	for i := int64(1); i <= req.Messages; i++ {
		if err := wait(ctx, start.Add(milliseconds(i*req.DelayMs))); err != nil {
			return err
		}
		if err := send(s.reply(req.Number + i)); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) Hang(context.Context) error {
	select {}
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func wait(ctx context.Context, until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}
