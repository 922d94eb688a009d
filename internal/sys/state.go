package sys

import (
	"os"
	"reflect"
	"syscall"
	"time"
	"unsafe"
)

// ProcessState makes what os.Process.Wait would have given for a process that another has
// waited for, so that it can be told as os/exec does. Package os has no function for that:
// its fields are set here, by name, if they are there and have the types that are expected.
// It is nil where they don't, as may be with another release of Go.
func ProcessState(pid int, status syscall.WaitStatus, used *syscall.Rusage) *os.ProcessState {
	state := new(os.ProcessState)
	fields := reflect.ValueOf(state).Elem()
	if fields.NumField() != 3 || !setField(fields, "pid", pid) || !setField(fields, "status", status) || !setField(fields, "rusage", used) {
		return nil
	}
	return state
}

// setField sets a field that isn't exported, and says whether it could.
func setField(fields reflect.Value, name string, value any) bool {
	f := fields.FieldByName(name)
	if !f.IsValid() || f.Type() != reflect.TypeOf(value) {
		return false
	}
	reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem().Set(reflect.ValueOf(value))
	return true
}

// Field reads a field that isn't exported, of what a pointer points to. It is false where
// there is none of that name and type, as may be with another release of Go.
func Field[T any](of any, name string) (value T, ok bool) {
	f := reflect.ValueOf(of).Elem().FieldByName(name)
	if !f.IsValid() || f.Type() != reflect.TypeFor[T]() {
		return value, false
	}
	return *(*T)(unsafe.Pointer(f.UnsafeAddr())), true
}

// Rusage is what getrusage(2) gives of a process, as far as it is known; maxRSS is in bytes.
func Rusage(user, system time.Duration, maxRSS int64) *syscall.Rusage {
	r := &syscall.Rusage{Utime: syscall.NsecToTimeval(int64(user)), Stime: syscall.NsecToTimeval(int64(system))}
	setNumber(&r.Maxrss, maxRSS/maxRSSUnit)
	return r
}

func setNumber[T int32 | int64](to *T, n int64) { *to = T(n) }
