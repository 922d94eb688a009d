package config

import "time"

var probeNames = map[string]string{
	"http": "http_get", "httpGet": "http_get", "tcp_socket": "tcp", "tcpSocket": "tcp", "port": "tcp has the key port", "command": "exec has the key command", "test": "exec has the key command", "log": "log_line",
	"initial_delay_seconds": "initial_delay", "initialDelaySeconds": "initial_delay", "startPeriod": "start_period", "grace_period": "start_period", "start_interval": "period",
	"period_seconds": "period", "periodSeconds": "period", "interval": "period", "timeout_seconds": "timeout", "timeoutSeconds": "timeout",
	"successThreshold": "success_threshold", "failureThreshold": "failure_threshold", "retries": "failure_threshold",
}

// probe asks whether an application works. How is one of the first five.
func probe() shape[Probe] {
	return mapOf(probeNames,
		at("exec", execProbe(), func(p *Probe) *[]string { return &p.Exec }, "A command that has to end with status 0."),
		at("http_get", optional(httpProbe()), func(p *Probe) **HTTPProbe { return &p.HTTP }, "A GET that has to be answered."),
		at("tcp", optional(short("port", []kind{scalar}, tcpProbe())), func(p *Probe) **TCPProbe { return &p.TCP }, "A connection that has to be accepted."),
		at("notify", boolean(), func(p *Probe) *bool { return &p.Notify }, "READY=1 by sd_notify."),
		at("log_line", pattern(), func(p *Probe) *string { return &p.Log }, "A regular expression that a line of output has to match."),
		at("initial_delay", duration(), func(p *Probe) *time.Duration { return &p.InitialDelay }, "How long after the start the first attempt is made.").or("0"),
		at("start_period", duration(), func(p *Probe) *time.Duration { return &p.StartPeriod }, "How long after the start failures don't count, until the first success.").or("0"),
		at("period", positive(), func(p *Probe) *time.Duration { return &p.Period }, "How long after an attempt the next is made.").or("10s"),
		at("timeout", positive(), func(p *Probe) *time.Duration { return &p.Timeout }, "How long an attempt may take.").or("1s"),
		at("success_threshold", integer(1), func(p *Probe) *int { return &p.SuccessThreshold }, "How many attempts in a row have to succeed.").or("1"),
		at("failure_threshold", integer(1), func(p *Probe) *int { return &p.FailureThreshold }, "How many attempts in a row have to fail.").or("3"),
	)
}

// execProbe is a command, or a map with one.
func execProbe() shape[[]string] {
	return writeNothing(short("command", []kind{scalar, list}, mapOf(nil, at("command", commandOf(), func(c *[]string) *[]string { return c }, "What is executed."))))
}

func httpProbe() shape[HTTPProbe] {
	return mapOf(map[string]string{"status_code": "status", "code": "status", "uri": "path", "url": "scheme, host, port and path", "header": "headers", "httpHeaders": "headers"},
		at("scheme", word[string](nil, "http", "https"), func(p *HTTPProbe) *string { return &p.Scheme }, "The certificate of https isn't verified.").or("http"),
		at("host", perReplica(), func(p *HTTPProbe) *string { return &p.Host }, "The host to connect to.").or("127.0.0.1"),
		at("port", port(), func(p *HTTPProbe) *int { return &p.Port }, "By default the port of the application, and of each replica its own; else that of the scheme."),
		at("path", perReplica(), func(p *HTTPProbe) *string { return &p.Path }, "The path to get.").or("/"),
		at("headers", dictOf(perReplica()), func(p *HTTPProbe) *map[string]string { return &p.Headers }, "Headers of the request."),
		at("status", integer(100), func(p *HTTPProbe) *int { return &p.Status }, "The status that it has to have; by default any from 200 to 399."),
	)
}

func tcpProbe() shape[TCPProbe] {
	return mapOf(nil,
		at("host", perReplica(), func(p *TCPProbe) *string { return &p.Host }, "The host to connect to.").or("127.0.0.1"),
		at("port", port(), func(p *TCPProbe) *int { return &p.Port }, "By default the port of the application, and of each replica its own."),
	)
}

// writeNothing leaves out a probe that isn't made.
func writeNothing(s shape[[]string]) shape[[]string] {
	write := s.write
	s.write = func(argv []string) any {
		if len(argv) == 0 {
			return nil
		}
		return write(argv)
	}
	return s
}
