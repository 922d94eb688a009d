package probe

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func portOf(t *testing.T, address net.Addr) int {
	t.Helper()
	return address.(*net.TCPAddr).Port
}

func TestAnHTTPProbe(t *testing.T) {
	leaktest.Check(t)
	handler := http.NewServeMux()
	handler.HandleFunc("/status/", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/status/"))
		w.Header().Set("Location", "/status/500")
		w.WriteHeader(code)
	})
	handler.HandleFunc("/header", func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "shop.example" || r.Header.Get("X-Key") != "1" || r.URL.RawQuery != "full=1" {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	handler.HandleFunc("/streams", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	handler.HandleFunc("/hangs", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, scheme := range []string{"http", "https"} {
		server := httptest.NewUnstartedServer(handler)
		if scheme == "https" {
			server.StartTLS()
		} else {
			server.Start()
		}
		for _, c := range []struct {
			probe HTTP
			want  string // in the error; "": none
		}{
			{HTTP{Path: "/status/200"}, ""},
			{HTTP{Path: "status/204"}, ""},
			{HTTP{Path: "/status/302"}, ""}, // and it isn't followed
			{HTTP{Path: "/status/404"}, "/status/404: 404 Not Found (expected 200 to 399)"},
			{HTTP{Path: "/status/503", Status: 503}, ""},
			{HTTP{Path: "/status/200", Status: 204}, "200 OK (expected 204)"},
			{HTTP{Path: "/header?full=1", Headers: map[string]string{"host": "shop.example", "x-key": "1"}}, ""},
			{HTTP{Path: "/hangs"}, "no answer in time"},
			{HTTP{Path: "/%zz"}, "invalid URL escape"},
		} {
			c.probe.Scheme, c.probe.Port = scheme, portOf(t, server.Listener.Addr())
			err := ask(t, c.probe.Check(), c.want == "no answer in time")
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s %s: %v; want %q", scheme, c.probe.Path, err, c.want)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		if err := (HTTP{Scheme: scheme, Port: portOf(t, server.Listener.Addr()), Path: "/streams"}).Check()(ctx); err != nil {
			t.Errorf("%s: its status came in time: %v", scheme, err)
		}
		cancel()
		server.Close()
	}
}

// ask asks once, for a short time where there is to be no answer.
func ask(t *testing.T, check Check, silent bool) error {
	t.Helper()
	timeout := 20 * time.Second
	if silent {
		timeout = 50 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return check(ctx)
}

// An application that answers a probe decides what it says, not how much of it is kept: the
// error is told as an event, in the status and in the history.
func TestAnAnswerIsReadAndToldInBounds(t *testing.T) {
	leaktest.Check(t)
	long := strings.Repeat("x", 4<<20)
	for name, answer := range map[string]string{
		"a long status":  "HTTP/1.1 500 " + long + "\r\n\r\n",
		"a status":       "HTTP/1.1 500 " + long[:1<<10] + "\r\n\r\n",
		"no HTTP":        long + "\r\n\r\n",
		"a long header":  "HTTP/1.1 200 OK\r\nA: " + long + "\r\n\r\n",
		"many headers":   "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 1<<20) + "\r\n",
		"many answers":   strings.Repeat("HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n", 1<<18),
		"a long version": "HTTP/" + long[:4<<10] + " 200 OK\r\n\r\n",
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			defer connection.Close()
			_, _ = connection.Read(make([]byte, 1<<10))
			_, _ = io.WriteString(connection, answer) // the probe has closed it: as wanted
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err = HTTP{Port: portOf(t, listener.Addr())}.Check()(ctx)
		cancel()
		listener.Close()
		<-done
		if err == nil || len(err.Error()) > 300 {
			t.Errorf("%s: it is told in %d bytes: %.300v", name, len(fmt.Sprint(err)), err)
		}
	}
}

func TestATCPProbe(t *testing.T) {
	leaktest.Check(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := portOf(t, listener.Addr())
	if err := ask(t, TCP{Port: port}.Check(), false); err != nil {
		t.Errorf("open: %v", err)
	}
	listener.Close()
	want := "tcp 127.0.0.1:" + strconv.Itoa(port) + ": connection refused"
	if err := ask(t, TCP{Port: port}.Check(), false); err == nil || err.Error() != want {
		t.Errorf("closed: %v", err)
	}
	if err := ask(t, HTTP{Port: port}.Check(), false); err == nil || !strings.HasSuffix(err.Error(), "/: connection refused") {
		t.Errorf("closed, by HTTP: %v", err)
	}
}

// An address of IPv6 may be written with brackets and without.
func TestProbesReachAnAddressOfIPv6(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	hosttest.Unless(t, hosttest.NoIPv6, err)
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	port := l.Addr().(*net.TCPAddr).Port
	for _, host := range []string{"::1", "[::1]", "[0:0:0:0:0:0:0:1]"} {
		for name, check := range map[string]Check{"http": HTTP{Host: host, Port: port}.Check(), "tcp": TCP{Host: host, Port: port}.Check()} {
			if err := check(t.Context()); err != nil {
				t.Errorf("%s of %s: %v", name, host, err)
			}
		}
	}
	for host, want := range map[string]string{"[::1]": "http://[::1]/", "::1": "http://[::1]/", "fe80::1%lo": "http://[fe80::1%25lo]/", "localhost": "http://localhost/"} {
		if got := (HTTP{Host: host}).url(); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

func TestCheckHost(t *testing.T) {
	for host, want := range map[string]string{
		"": "", "localhost": "", "db.example": "", "::1": "", "[::1]": "", "fe80::1%eth0": "", "127.0.0.1": "",
		"localhost:80": "has a port", "[::1]:80": "has a port", "http://localhost": "is a URL", "a b": "is neither", "::1::": "is neither", "x/y": "is neither", "[::1": "is neither",
	} {
		err := CheckHost(host)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", host, err)
		}
	}
}
