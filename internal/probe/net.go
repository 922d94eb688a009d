package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
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

// What is read of an answer: its headers, and so much of its body that the application can
// finish it. Of what the application says in them, the beginning is told.
const (
	mostHeaders = 64 << 10
	mostBody    = 64 << 10
	mostTold    = 200
)

// Check asks by a connection of its own. It follows no redirect and uses no proxy; a
// certificate isn't verified, since that of an application is rarely made for the
// address at which a probe asks.
func (h HTTP) Check() Check {
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: mostHeaders,
			TLSClientConfig:        &tls.Config{InsecureSkipVerify: true},
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
	u := url.URL{Scheme: h.Scheme, Host: bare(h.Host)}
	if u.Scheme == "" {
		u.Scheme = "http"
	}
	switch {
	case h.Port != 0:
		u.Host = net.JoinHostPort(u.Host, strconv.Itoa(h.Port))
	case strings.Contains(u.Host, ":"):
		u.Host = "[" + u.Host + "]"
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
		return fmt.Errorf("GET %s: %s (expected %d)", target, cut(answer.Status), h.Status)
	case h.Status == 0 && (code < 200 || code > 399):
		return fmt.Errorf("GET %s: %s (expected 200 to 399)", target, cut(answer.Status))
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
	address := net.JoinHostPort(bare(p.Host), strconv.Itoa(p.Port))
	return func(ctx context.Context) error {
		var d net.Dialer
		connection, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("tcp %s: %w", address, plain(err))
		}
		return connection.Close()
	}
}

// bare is a host without the brackets that an address of IPv6 may have.
func bare(host string) string {
	if inner, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(inner, "]") {
		host = strings.TrimSuffix(inner, "]")
	}
	return cmp.Or(host, "127.0.0.1")
}

// CheckHost says what is wrong with the host of a probe.
func CheckHost(host string) error {
	name := bare(host)
	_, err := netip.ParseAddr(name)
	switch {
	case err == nil:
		return nil
	case strings.Contains(name, "://"):
		return fmt.Errorf("%q is a URL: scheme, host, port and path have keys of their own", host)
	case strings.Contains(name, ":") && strings.Count(name, ":") == 1 || strings.Contains(name, "]:"):
		return fmt.Errorf("%q has a port, which has a key of its own", host)
	case strings.ContainsAny(name, ":[]/ \t"):
		return fmt.Errorf("%q is neither a name nor an address, as localhost, 127.0.0.1 or ::1", host)
	}
	return nil
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
		err = u.Err
	}
	if text := err.Error(); len(text) > mostTold {
		return errors.New(cut(text)) // it may quote the answer
	}
	return err
}

func cut(text string) string {
	if len(text) <= mostTold {
		return text
	}
	return strings.ToValidUTF8(text[:mostTold], "") + "…"
}
