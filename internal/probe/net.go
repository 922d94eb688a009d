package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
)

// HTTP is a GET that has to be answered.
type HTTP struct {
	Scheme, Host string // "http" and "127.0.0.1" where they are empty
	Port         int    // 0: that of the scheme
	Path         string
	Headers      map[string]string
	Status       int // 0: any of 200 to 399
}

// mostBody is how much of an answer is read, so that the application can finish it.
const mostBody = 64 << 10

// Check asks by a connection of its own. It follows no redirect and uses no proxy; a
// certificate isn't verified, since that of an application is rarely made for the
// address at which a probe asks.
func (h HTTP) Check() Check {
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	target := h.url()
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			return err
		}
		request.Header.Set("User-Agent", "foster-probe")
		for name, value := range h.Headers {
			request.Header.Set(name, value)
			if http.CanonicalHeaderKey(name) == "Host" {
				request.Host = value
			}
		}
		answer, err := client.Do(request)
		if err != nil {
			return fmt.Errorf("GET %s: %w", target, plain(err))
		}
		defer answer.Body.Close()
		if ctx.Err() != nil {
			return fmt.Errorf("GET %s: %w", target, plain(ctx.Err())) // it is one to the end of the connection
		}
		_, _ = io.CopyN(io.Discard, answer.Body, mostBody) // the status is the answer
		return h.judge(target, answer)
	}
}

func (h HTTP) url() string {
	u := url.URL{Scheme: h.Scheme, Host: h.Host}
	if u.Scheme == "" {
		u.Scheme = "http"
	}
	if u.Host == "" {
		u.Host = "127.0.0.1"
	}
	if h.Port != 0 {
		u.Host = net.JoinHostPort(u.Host, strconv.Itoa(h.Port))
	}
	path := h.Path
	if path == "" || path[0] != '/' {
		path = "/" + path
	}
	return u.String() + path // with a query, where it has one
}

func (h HTTP) judge(target string, answer *http.Response) error {
	switch code := answer.StatusCode; {
	case h.Status != 0 && code != h.Status:
		return fmt.Errorf("GET %s: %s (expected %d)", target, answer.Status, h.Status)
	case h.Status == 0 && (code < 200 || code > 399):
		return fmt.Errorf("GET %s: %s (expected 200 to 399)", target, answer.Status)
	}
	return nil
}

// TCP is a connection that has to be accepted.
type TCP struct {
	Host string // "127.0.0.1" where it is empty
	Port int
}

// Check connects, and closes the connection.
func (p TCP) Check() Check {
	host := p.Host
	if host == "" {
		host = "127.0.0.1"
	}
	address := net.JoinHostPort(host, strconv.Itoa(p.Port))
	return func(ctx context.Context) error {
		var d net.Dialer
		connection, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("tcp %s: %w", address, plain(err))
		}
		return connection.Close()
	}
}

// errSilent is what a check says that had no answer in time.
var errSilent = errors.New("no answer in time")

// plain leaves of an error of the network what a person wants to know.
func plain(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errSilent
	}
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
