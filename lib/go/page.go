package handover

import (
	"encoding/binary"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// page is memory that the supervisor reads when somebody asks how much is in flight; handover-worker(7) describes it.
type page struct {
	file  *os.File
	count *int64
}

const (
	pageHeader = 64
	pageCell   = 64
)

// memfdCreate is the number of memfd_create(2), which package syscall does not know everywhere.
var memfdCreate = map[string]uintptr{"amd64": 319, "386": 356, "arm": 385, "arm64": 279, "loong64": 279, "ppc64le": 360, "riscv64": 279, "s390x": 350}

// newPage returns nil where the system has no such thing: then the number is sent as a notification.
func newPage() *page {
	const cloexec = 1
	name := append([]byte("handover-inflight"), 0)
	number, known := memfdCreate[runtime.GOARCH]
	if !known {
		return nil
	}
	fd, _, errno := syscall.Syscall(number, uintptr(unsafe.Pointer(&name[0])), cloexec, 0)
	if errno != 0 {
		return nil
	}
	file := os.NewFile(fd, "handover-inflight")
	if err := syscall.Ftruncate(int(fd), pageHeader+pageCell); err != nil {
		file.Close()
		return nil
	}
	memory, err := syscall.Mmap(int(fd), 0, pageHeader+pageCell, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		file.Close()
		return nil
	}
	copy(memory, "HANDOVER")
	order := byteOrder()
	order.PutUint32(memory[8:], 1)  // version
	order.PutUint32(memory[12:], 1) // cells
	return &page{file: file, count: (*int64)(unsafe.Pointer(&memory[pageHeader]))}
}

func (p *page) add(difference int) {
	if p != nil {
		atomic.AddInt64(p.count, int64(difference))
	}
}

func byteOrder() binary.ByteOrder {
	one := uint16(1)
	if *(*byte)(unsafe.Pointer(&one)) == 1 {
		return binary.LittleEndian
	}
	return binary.BigEndian
}
