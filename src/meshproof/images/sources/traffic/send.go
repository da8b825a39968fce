package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/net/http2"
)

// Requests at a steady rate, and a line of JSON for each.
//
// Nothing is ever sent twice. HTTP/1.1 is written to a connection that is dialled here, and HTTP/2 to one ClientConn,
// for the clients of Go's library send a request again, without a word, when a kept connection ends under it.

const (
	bodyKept    = 64 << 10         // octets of an answer that are told
	outstanding = 1000             // requests of a flow with new connections that may be under way
	streamPause = time.Second / 10 // before a stream that has ended is asked for again
	beside      = time.Second / 5  // between short requests beside a stream of HTTP/2
	queued      = 10_000           // requests that may wait for a kept connection
	together    = time.Second / 4  // in which records are gathered
	nearly      = time.Second / 10 // for which an end waits for a write that may know more of it
	halfWay     = "half-way through the answer"
)

// order is what is read from standard input.
type order struct {
	Flows   []*flow `json:"flows"`
	Seconds float64 `json:"seconds"` // after which no flow sends any more
}

// flow is one stream of requests.
type flow struct {
	URL         string            `json:"url"`
	Address     string            `json:"address"` // to connect to; empty for that of the URL
	Method      string            `json:"method"`
	Headers     map[string]string `json:"headers"`
	Trust       string            `json:"trust"`       // PEM
	Certificate string            `json:"certificate"` // PEM
	Key         string            `json:"key"`         // PEM
	Connections string            `json:"connections"` // new, kept or stream
	Count       int               `json:"count"`       // of kept connections
	HTTP2       bool              `json:"http2"`
	Newest      uint16            `json:"newest"`  // the highest version of TLS to offer, as on the wire; 0 for Go's own
	Rate        float64           `json:"rate"`    // requests a second
	Timeout     float64           `json:"timeout"` // seconds
	Requests    int               `json:"requests"`
	Status      int               `json:"status"`  // of the answer that a stream is
	Body        bool              `json:"body"`    // whether answers are told, with their headers
	Instead     map[int]string    `json:"instead"` // paths for single requests, by sequence number

	number int
	url    *url.URL
	tls    *tls.Config
}

// record is what became of one request; of a stream, of one line.
type record struct {
	Flow       int    `json:"flow"`
	Sequence   int    `json:"sequence"`
	Due        int64  `json:"due"` // ns of CLOCK_MONOTONIC, as are the next three
	Woken      int64  `json:"woken"`
	Sent       int64  `json:"sent"`
	Ended      int64  `json:"ended"`
	Outcome    string `json:"outcome"`
	Status     int    `json:"status,omitempty"`
	Connection string `json:"connection,omitempty"` // new or kept; none if it could not be made
	Number     int64  `json:"number,omitempty"`     // of the connection
	Replaces   string `json:"replaces,omitempty"`   // how the connection before it ended, when it was idle
	Protocol   string `json:"protocol,omitempty"`
	Peer       string `json:"peer,omitempty"` // the serial number of the server's certificate
	Alert      int    `json:"alert,omitempty"`
	Detail     string `json:"detail,omitempty"`
	Body       string `json:"body,omitempty"`

	Headers map[string][]string `json:"headers,omitempty"` // the answer's
}

// The outcomes; see endings.py.
const (
	endedAnswered       = "ANSWERED"
	endedRefused        = "REFUSED"
	endedUnreachable    = "UNREACHABLE"
	endedUnresolved     = "UNRESOLVED"
	endedReset          = "RESET"
	endedClosed         = "CLOSED"
	endedCrossedClose   = "CROSSED_CLOSE"
	endedTruncated      = "TRUNCATED"
	endedTimedOut       = "TIMED_OUT"
	endedTlsRefused     = "TLS_REFUSED"
	endedUntrusted      = "UNTRUSTED"
	endedNotTLS         = "NOT_TLS"
	endedNotProcessed   = "NOT_PROCESSED"
	endedStreamReset    = "STREAM_RESET"
	endedProtocolError  = "PROTOCOL_ERROR"
	endedAnnouncedDrain = "ANNOUNCED_DRAIN"
	endedStreamEnded    = "STREAM_ENDED"
	endedOwnFault       = "OWN_FAULT"
	endedUnsent         = "UNSENT" // no record: it was due, and flows ended before a connection was free for it
)

var (
	started     = time.Now()
	startedAt   = monotonic()
	connections atomic.Int64
)

// monotonic asks the kernel for the clock that Python's time.monotonic_ns() shows, in this container and outside.
func monotonic() int64 {
	var now syscall.Timespec
	const clockMonotonic = 1
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		panic(errno)
	}
	return now.Nano()
}

// clock is the same, by Go's own reading of it.
func clock() int64 { return startedAt + int64(time.Since(started)) }

// sender writes the records of all flows.
type sender struct {
	records chan record
	last    time.Time // when flows end
	ended   <-chan struct{}
}

// send does what standard input orders, until that ends, has another line, or time is up.
//
// A client that goes away can't always end its half of standard input alone: through the API of Kubernetes
// it says so with a line. Records are on standard output, and after the last one how many there are of each flow.
func send(in io.Reader, out io.Writer) error {
	lines := bufio.NewReaderSize(in, 1<<20)
	first, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("no flows on standard input: %w", err)
	}
	var asked order
	decoder := json.NewDecoder(bytes.NewReader(first))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		return fmt.Errorf("the flows on standard input: %w", err)
	}
	for number, each := range asked.Flows {
		each.number = number
		if err := each.prepare(); err != nil {
			return fmt.Errorf("flow %d: %w", number, err)
		}
	}
	ended := make(chan struct{})
	go func() {
		_, _ = lines.ReadBytes('\n')
		close(ended)
	}()
	all := &sender{
		records: make(chan record, 1024),
		last:    started.Add(time.Duration(asked.Seconds * float64(time.Second))),
		ended:   ended,
	}
	counts := make([]int, len(asked.Flows))
	written := make(chan error)
	if err := json.NewEncoder(out).Encode(map[string]any{"began": clock()}); err != nil {
		return err
	}
	go func() { written <- write(out, all.records) }()
	var running sync.WaitGroup
	for number, each := range asked.Flows {
		running.Go(func() { counts[number] = all.run(each) })
	}
	running.Wait()
	close(all.records)
	if err := <-written; err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(map[string]any{"ended": clock(), "requests": counts})
}

// write puts records on a stream, those of a short time together: from a pod each write goes by the API of Kubernetes,
// which costs more than the request.
func write(out io.Writer, records <-chan record) error {
	buffered := bufio.NewWriter(out)
	lines := json.NewEncoder(buffered)
	ticks := time.NewTicker(together)
	defer ticks.Stop()
	var failed error
	for {
		select {
		case each, more := <-records:
			if !more {
				return errors.Join(failed, buffered.Flush())
			}
			if err := lines.Encode(each); err != nil {
				failed = err
			}
		case <-ticks.C:
			if err := buffered.Flush(); err != nil {
				failed = err
			}
		}
	}
}

// prepare reads a flow's URL, keys and authorities.
func (f *flow) prepare() error {
	var err error
	if f.url, err = url.Parse(f.URL); err != nil {
		return err
	}
	port := f.url.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[f.url.Scheme]
	}
	if f.Address == "" {
		f.Address = net.JoinHostPort(f.url.Hostname(), port)
	}
	if f.Rate <= 0 || f.Timeout <= 0 || f.Requests <= 0 || f.Count <= 0 {
		return errors.New("rate, timeout, requests and count are to be above 0")
	}
	if f.url.Scheme != "https" {
		return nil
	}
	f.tls = &tls.Config{ServerName: f.url.Hostname(), RootCAs: x509.NewCertPool(), NextProtos: []string{"http/1.1"}}
	if f.HTTP2 {
		f.tls.NextProtos = []string{"h2"}
	}
	if f.Newest != 0 {
		f.tls.MinVersion, f.tls.MaxVersion = min(tls.VersionTLS12, f.Newest), f.Newest
	}
	if !f.tls.RootCAs.AppendCertsFromPEM([]byte(f.Trust)) {
		return errors.New("trust has no certificate in PEM")
	}
	if f.Certificate != "" {
		shown, err := tls.X509KeyPair([]byte(f.Certificate), []byte(f.Key))
		if err != nil {
			return err
		}
		f.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }
	}
	return nil
}

func (f *flow) timeout() time.Duration { return time.Duration(f.Timeout * float64(time.Second)) }

// request is the one of a sequence number.
func (f *flow) request(sequence int) (*http.Request, error) {
	where := *f.url
	if path, other := f.Instead[sequence]; other {
		parsed, err := url.Parse(path)
		if err != nil {
			return nil, err
		}
		where.Path, where.RawQuery = parsed.Path, parsed.RawQuery
	}
	asked, err := http.NewRequest(f.Method, where.String(), nil)
	if err != nil {
		return nil, err
	}
	asked.Header.Set("User-Agent", "meshproof")
	for name, value := range f.Headers {
		if strings.EqualFold(name, "Host") {
			asked.Host = value
		}
		asked.Header.Set(name, value)
	}
	asked.Close = f.Connections == "new" && !f.HTTP2
	return asked, nil
}

// run sends a flow's requests, each when it is due, and waits for the last answer. It returns how many there were.
func (s *sender) run(f *flow) int {
	if f.Connections == "stream" {
		return s.stream(f)
	}
	interval := float64(time.Second) / f.Rate
	begin := time.Now()
	var under sync.WaitGroup
	defer under.Wait()
	hand := s.newConnections(f, &under)
	if f.Connections == "kept" {
		kept, done := s.keptConnections(f, &under)
		hand = kept
		defer done()
	}
	for sequence := range f.Requests {
		due := begin.Add(time.Duration(float64(sequence) * interval))
		if !s.until(due) {
			return sequence
		}
		hand(record{Flow: f.number, Sequence: sequence, Due: startedAt + int64(due.Sub(started)), Woken: clock()})
	}
	return f.Requests
}

// until waits for a time; it returns false when there is nothing more to be sent.
func (s *sender) until(due time.Time) bool {
	if due.After(s.last) {
		due = s.last
	}
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-s.ended:
		return false
	case <-timer.C:
	}
	return !s.over() && due.Before(s.last) // both may be there
}

// over tells whether nothing more is to be sent.
func (s *sender) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return !time.Now().Before(s.last)
	}
}

// newConnections sends each request on a connection of its own, beside those that are not answered yet.
func (s *sender) newConnections(f *flow, under *sync.WaitGroup) func(record) {
	places := make(chan struct{}, outstanding)
	return func(each record) {
		places <- struct{}{}
		under.Go(func() {
			each.Sent = clock()
			c, failure := f.dial()
			if failure != nil {
				failure.into(&each)
			} else {
				c.exchange(f, &each)
				c.close()
			}
			s.end(each)
			<-places
		})
	}
}

// keptConnections sends requests on a few connections, which are made again when they have ended.
func (s *sender) keptConnections(f *flow, under *sync.WaitGroup) (hand func(record), done func()) {
	if f.HTTP2 {
		slots := make([]*slot, f.Count)
		for i := range slots {
			slots[i] = &slot{flow: f}
		}
		hand = func(each record) {
			under.Go(func() { s.end(slots[each.Sequence%f.Count].send(each)) })
		}
		return hand, func() {
			under.Wait()
			for _, each := range slots {
				each.close()
			}
		}
	}
	waiting := make(chan record, queued)
	for range f.Count {
		under.Go(func() {
			mine := &slot{flow: f}
			for each := range waiting {
				if s.over() {
					each.Outcome = endedUnsent
					s.end(each)
				} else {
					s.end(mine.send(each))
				}
			}
			mine.close()
		})
	}
	return func(each record) { waiting <- each }, func() { close(waiting) }
}

func (s *sender) end(each record) { s.records <- each }

// slot has a kept connection, and makes another one when it has ended.
type slot struct {
	flow *flow
	lock sync.Mutex
	conn *conn
}

// send sends one request. Where the connection turns out to have ended before anything was written, it takes another.
func (s *slot) send(each record) record {
	each.Sent = clock()
	for {
		c, failure := s.open(&each)
		if failure != nil {
			failure.into(&each)
			return each
		}
		again := c.exchange(s.flow, &each)
		c.under.Done()
		if !again {
			return each
		}
	}
}

// open returns the slot's connection, or a new one where it takes no more requests, and counts one more on it.
func (s *slot) open(each *record) (*conn, *failure) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.conn != nil {
		ended := s.conn.ended()
		if ended == "" {
			s.conn.under.Add(1)
			return s.conn, nil
		}
		each.Replaces = ended
		s.conn.leave()
		s.conn = nil
	}
	c, failure := s.flow.dial()
	if failure == nil {
		c.under.Add(1)
		s.conn = c
	}
	return c, failure
}

func (s *slot) close() {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.conn != nil {
		s.conn.close()
	}
}

// conn is one connection, with HTTP/1.1 or HTTP/2.
type conn struct {
	number int64
	socket *net.TCPConn
	stream net.Conn // the same as a wire, or TLS on that
	peer   string
	used   atomic.Bool

	reader  *bufio.Reader // HTTP/1.1
	waiting chan *exchange
	over    chan struct{} // closed when the connection has ended
	why     string        // how
	broken  error         // with what, while it was idle

	h2    *http2.ClientConn // HTTP/2
	heard *heard
	fault atomic.Bool    // the server ended it, or a stream, with an error
	under sync.WaitGroup // requests of a slot that are on it
}

// wire is a TCP connection that tells a reset to reading and to writing, whichever heard of it first.
//
// Linux tells a reset once, to whoever asks next. After that reading ends as if the server had closed the connection in
// order, and writing with EPIPE, which is what it ends with after a FIN as well. Source: sock_error() in include/net/sock.h
// of Linux, as tcp_recvmsg() and tcp_sendmsg() use it.
type wire struct {
	net.Conn
	writing chan struct{} // has one while something is written
	reset   atomic.Bool   // whether there was one
}

func (w *wire) Read(octets []byte) (int, error) {
	number, err := w.Conn.Read(octets)
	switch {
	case errors.Is(err, syscall.ECONNRESET):
		w.reset.Store(true)
	case err == io.EOF:
		select { // a write may be hearing of it just now
		case w.writing <- struct{}{}:
			<-w.writing
		case <-time.After(nearly):
		}
		if w.reset.Load() {
			err = w.told("read")
		}
	}
	return number, err
}

func (w *wire) Write(octets []byte) (int, error) {
	w.writing <- struct{}{}
	defer func() { <-w.writing }()
	number, err := w.Conn.Write(octets)
	if errors.Is(err, syscall.ECONNRESET) {
		w.reset.Store(true)
	}
	if errors.Is(err, syscall.EPIPE) && w.reset.Load() {
		err = w.told("write")
	}
	return number, err
}

// told is the error that the kernel has told to somebody else.
func (w *wire) told(what string) error {
	reset := os.NewSyscallError(what, syscall.ECONNRESET)
	return &net.OpError{Op: what, Net: "tcp", Source: w.LocalAddr(), Addr: w.RemoteAddr(), Err: reset}
}

// heard keeps how a connection ended, by the first end of reading or writing, which ClientConn tells only the requests of
// that moment. Where writing finds the reset, ClientConn closes the connection, and reading ends by that.
type heard struct {
	net.Conn
	end   atomic.Pointer[error]
	once  sync.Once
	first chan struct{} // closed when something, or the end, has come
}

func (h *heard) Read(octets []byte) (int, error) {
	number, err := h.Conn.Read(octets)
	if err != nil {
		h.end.CompareAndSwap(nil, &err)
	}
	h.once.Do(func() { close(h.first) })
	return number, err
}

func (h *heard) Write(octets []byte) (int, error) {
	number, err := h.Conn.Write(octets)
	if err != nil {
		h.end.CompareAndSwap(nil, &err)
	}
	return number, err
}

// last is how the connection ended; in order, unless reading or writing has told something else that the server did.
func (h *heard) last() error {
	if end := h.end.Load(); end != nil && !errors.Is(*end, net.ErrClosed) {
		return *end
	}
	return io.EOF
}

// exchange is a request of HTTP/1.1 on its way, and what came back.
type exchange struct {
	request  *http.Request
	response *http.Response
	body     []byte
	begun    bool // an octet of the answer has come
	err      error
	unread   bool // the server's kernel had not taken the request when the connection ended
	done     chan struct{}
}

// dial makes a connection, and speaks TLS where the flow does.
func (f *flow) dial() (*conn, *failure) {
	until := time.Now().Add(f.timeout())
	dialer := net.Dialer{Deadline: until, KeepAlive: -1}
	raw, err := dialer.Dial("tcp", f.Address)
	if err != nil {
		return nil, failed(err, "")
	}
	c := &conn{number: connections.Add(1), socket: raw.(*net.TCPConn), stream: &wire{Conn: raw, writing: make(chan struct{}, 1)}}
	if f.tls != nil {
		_ = raw.SetDeadline(until)
		secured := tls.Client(c.stream, f.tls) // without a cache of sessions: each handshake is a whole one
		if err := secured.Handshake(); err != nil {
			_ = raw.Close()
			return nil, failed(err, "in the TLS handshake")
		}
		_ = raw.SetDeadline(time.Time{})
		state := secured.ConnectionState()
		c.stream, c.peer = secured, state.PeerCertificates[0].SerialNumber.String()
		if f.HTTP2 && state.NegotiatedProtocol != "h2" {
			_ = raw.Close()
			return nil, &failure{outcome: endedProtocolError, detail: "the server does not speak HTTP/2"}
		}
	}
	if f.HTTP2 {
		transport := &http2.Transport{AllowHTTP: true, DisableCompression: true, StrictMaxConcurrentStreams: true}
		transport.CountError = func(kind string) { // called before ClientConn knows; not for NO_ERROR
			if strings.HasPrefix(kind, "recv_goaway_") || kind == "recv_rststream_PROTOCOL_ERROR" {
				c.fault.Store(true)
			}
		}
		c.heard = &heard{Conn: c.stream, first: make(chan struct{})}
		if c.h2, err = transport.NewClientConn(c.heard); err != nil {
			_ = raw.Close()
			return nil, failed(err, "")
		}
		// The server's settings come first. A client that is refused in TLS 1.3 hears of it here, and would not
		// where a write had found the connection reset before.
		select {
		case <-c.heard.first:
		case <-time.After(time.Until(until)):
			c.close()
			return nil, &failure{outcome: endedTimedOut, detail: "no settings of HTTP/2 came"}
		}
		if end := c.heard.end.Load(); end != nil {
			c.close()
			return nil, failed(*end, "before any frame of HTTP/2")
		}
		return c, nil
	}
	c.reader = bufio.NewReader(c.stream)
	c.waiting = make(chan *exchange, 1)
	c.over = make(chan struct{})
	return c, nil
}

// ended says how a connection ended while no request was on it; empty while it takes requests.
func (c *conn) ended() string {
	if c.h2 != nil {
		if c.h2.ReserveNewRequest() {
			return ""
		}
		switch {
		case c.announced():
			return "announced"
		case c.fault.Load():
			return "ended with an error"
		}
		return "closed while idle"
	}
	select {
	case <-c.over:
		return c.why
	default:
		return ""
	}
}

// announced tells whether the server has said by GOAWAY that it ends a connection of HTTP/2, and not because of an error.
//
// ClientConn takes no more requests after RST_STREAM with PROTOCOL_ERROR either. Source: RFC 9113, 6.8 and 7.
func (c *conn) announced() bool { return c.h2 != nil && c.h2.State().Closing && !c.fault.Load() }

// leave closes a connection when its last request has been answered.
func (c *conn) leave() {
	go func() {
		c.under.Wait()
		c.close()
	}()
}

func (c *conn) close() {
	if c.h2 != nil {
		_ = c.h2.Close()
	}
	_ = c.socket.Close()
}

// exchange sends a request and notes what comes back. It returns true, and notes nothing, where nothing was written.
func (c *conn) exchange(f *flow, each *record) (again bool) {
	each.Number, each.Peer = c.number, c.peer
	each.Connection = "kept"
	if c.used.CompareAndSwap(false, true) {
		each.Connection = "new"
		if c.h2 == nil {
			go c.read()
		}
	}
	asked, err := f.request(each.Sequence)
	if err != nil {
		(&failure{outcome: endedOwnFault, detail: err.Error()}).into(each)
		return false
	}
	var response *http.Response
	var body []byte
	var failure *failure
	if c.h2 != nil {
		response, body, failure = c.exchange2(f, asked)
	} else {
		response, body, failure = c.exchange1(f, asked)
	}
	kept := each.Connection == "kept"
	if failure != nil && failure.unwritten && kept {
		return true
	}
	if failure != nil && failure.unread && kept {
		failure.outcome = endedCrossedClose
	}
	each.Ended, each.Outcome = clock(), endedAnswered
	if response != nil {
		each.Status, each.Protocol = response.StatusCode, response.Proto
	}
	if f.Body && response != nil {
		each.Body, each.Headers = string(body[:min(len(body), bodyKept)]), headersOf(response.Header)
	}
	if failure != nil {
		failure.into(each)
	}
	return false
}

// exchange1 is exchange with HTTP/1.1.
func (c *conn) exchange1(f *flow, asked *http.Request) (*http.Response, []byte, *failure) {
	var octets bytes.Buffer
	if err := asked.Write(&octets); err != nil {
		return nil, nil, &failure{outcome: endedOwnFault, detail: err.Error()}
	}
	sent := &exchange{request: asked, done: make(chan struct{})}
	c.waiting <- sent
	_ = c.stream.SetWriteDeadline(time.Now().Add(f.timeout()))
	_, written := c.stream.Write(octets.Bytes())
	timer := time.NewTimer(f.timeout())
	defer timer.Stop()
	select {
	case <-sent.done:
	case <-c.over:
		select {
		case <-c.waiting: // it had ended while idle, and nobody reads an answer
			if c.broken != nil { // by an alert about our certificate, which may come before the request is written (RFC 8446, 4.4.2.4)
				if alert := failed(c.broken, ""); alert.outcome == endedTlsRefused {
					return nil, nil, alert
				}
			}
			lost := &failure{outcome: endedClosed, detail: c.why, unwritten: written != nil}
			if errors.Is(c.broken, syscall.ECONNRESET) {
				lost.outcome = endedReset
			}
			lost.unread = errors.Is(c.broken, io.EOF) && c.unread()
			return nil, nil, lost
		default:
			<-sent.done
		}
	case <-timer.C:
		_ = c.socket.Close()
		return nil, nil, &failure{outcome: endedTimedOut, detail: fmt.Sprintf("no answer within %g s", f.Timeout)}
	}
	switch {
	case sent.err == nil:
		return sent.response, sent.body, nil
	case sent.begun:
		return sent.response, sent.body, failed(sent.err, halfWay)
	}
	lost := failed(sent.err, "")
	lost.unwritten = written != nil
	lost.unread = sent.unread && lost.outcome == endedClosed
	return nil, nil, lost
}

// read reads answers until the connection ends, and sees at once when it does.
func (c *conn) read() {
	for {
		_, err := c.reader.Peek(1)
		var sent *exchange
		select {
		case sent = <-c.waiting:
		default: // the server ended the connection, or said something, that nobody had asked for
			c.why, c.broken = "closed while idle", err
			if errors.Is(err, syscall.ECONNRESET) {
				c.why = "reset while idle"
			}
			close(c.over) // who takes the connection up next closes it: it may have written meanwhile
			return
		}
		if sent.begun, sent.err = err == nil, err; err == nil {
			sent.response, sent.body, sent.err = c.answer(sent.request)
		} else {
			sent.unread = c.unread()
		}
		if sent.err == nil && !sent.request.Close && !sent.response.Close {
			close(sent.done)
			continue
		}
		c.why = "announced"
		if sent.err != nil {
			c.why = "ended with the request before"
		}
		_ = c.socket.Close()
		close(c.over)
		close(sent.done)
		return
	}
}

// answer reads an answer to its end; 100 and its like come before it.
func (c *conn) answer(asked *http.Request) (*http.Response, []byte, error) {
	for {
		response, err := http.ReadResponse(c.reader, asked)
		if err != nil {
			return nil, nil, err
		}
		if response.StatusCode >= http.StatusOK || response.StatusCode == http.StatusSwitchingProtocols {
			body, err := io.ReadAll(response.Body)
			return response, body, err
		}
	}
}

// unread tells whether octets that we wrote are not acknowledged. After an end by FIN the server's kernel has not taken
// them, for the FIN acknowledges what came before it; a reset acknowledges nothing.
//
// Source: tcp(7), SIOCOUTQ; RFC 9293, 3.4 and 3.5.2. What such a request is worth: RFC 9112, 9.3.1 and 9.6.
func (c *conn) unread() bool {
	control, err := c.socket.SyscallConn()
	if err != nil {
		return false
	}
	var octets int32
	_ = control.Control(func(socket uintptr) {
		if _, _, errno := syscall.Syscall(
			syscall.SYS_IOCTL, socket, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&octets)),
		); errno != 0 {
			octets = 0
		}
	})
	return octets > 0
}

// exchange2 is exchange with HTTP/2. Its connection does not send a request again; only http2.Transport would.
func (c *conn) exchange2(f *flow, asked *http.Request) (*http.Response, []byte, *failure) {
	limited, cancel := context.WithTimeout(context.Background(), f.timeout())
	defer cancel()
	response, err := c.h2.RoundTrip(asked.WithContext(limited))
	if err != nil {
		return nil, nil, c.failed2(err, "")
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return response, body, c.failed2(err, halfWay)
	}
	return response, body, nil
}

// stream asks for an answer that does not end, and makes a record of each of its lines.
func (s *sender) stream(f *flow) int {
	sequence := 0
	note := func(each record) {
		s.end(each)
		sequence++
	}
	for sequence < f.Requests && s.until(time.Now()) {
		s.lines(f, &sequence, note)
		if !s.until(time.Now().Add(streamPause)) {
			break
		}
	}
	return sequence
}

// lines is one such answer, to its end.
func (s *sender) lines(f *flow, sequence *int, note func(record)) {
	before := clock()
	each := func() record {
		return record{Flow: f.number, Sequence: *sequence, Due: before, Woken: before, Sent: before, Connection: "kept"}
	}
	first := each()
	first.Connection = "new"
	c, failure := f.dial()
	if failure != nil {
		failure.into(&first)
		note(first)
		return
	}
	defer c.close()
	first.Number, first.Peer = c.number, c.peer
	asked, err := f.request(*sequence)
	if err != nil {
		return
	}
	limited, cancel := context.WithCancel(context.Background())
	defer cancel()
	silence := time.AfterFunc(f.timeout(), func() {
		cancel()
		_ = c.socket.Close()
	})
	defer silence.Stop()
	response, err := c.begin(asked.WithContext(limited))
	if err == nil && c.h2 != nil {
		go c.askBeside(limited, asked)
	}
	template := first
	if err == nil {
		template.Status, template.Protocol = response.StatusCode, response.Proto
		defer response.Body.Close()
		if response.StatusCode != f.Status {
			template.Ended, template.Outcome = clock(), endedAnswered
			note(template)
			return
		}
		lines := bufio.NewReader(response.Body)
		go func() { // what waits for a line is woken
			select {
			case <-s.ended:
			case <-time.After(time.Until(s.last)):
			case <-limited.Done():
			}
			cancel()
			_ = c.socket.Close()
		}()
		for *sequence < f.Requests {
			var line []byte
			line, err = lines.ReadBytes('\n')
			if err != nil {
				break
			}
			silence.Reset(f.timeout())
			template.Due, template.Woken, template.Sent, template.Sequence = before, before, before, *sequence
			before = clock()
			template.Ended, template.Outcome = before, endedAnswered
			if f.Body {
				template.Body = string(line)
			}
			note(template)
			template.Connection, template.Body = "kept", ""
		}
	}
	select {
	case <-s.ended:
		return
	default:
	}
	if *sequence >= f.Requests || !time.Now().Before(s.last) {
		return
	}
	template.Due, template.Woken, template.Sent, template.Sequence = before, before, before, *sequence
	template.Ended = clock()
	switch {
	case limited.Err() != nil || !silence.Stop():
		template.Outcome, template.Detail = endedTimedOut, fmt.Sprintf("no line within %g s", f.Timeout)
	case response != nil && c.announced():
		template.Outcome, template.Detail = endedAnnouncedDrain, err.Error()
	case errors.Is(err, io.EOF) && response != nil:
		template.Outcome = endedStreamEnded
	case c.h2 != nil:
		c.failed2(err, when(response)).into(&template)
	default:
		failed(err, when(response)).into(&template)
	}
	note(template)
}

// askBeside sends short requests on a stream's connection until the stream has ended, as clients with many streams do.
//
// A proxy announces the end of a connection with an answer: where a long one is the only one, it is cut without a word.
// Source: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/operations/draining
func (c *conn) askBeside(limited context.Context, stream *http.Request) {
	ticks := time.NewTicker(beside)
	defer ticks.Stop()
	for {
		select {
		case <-limited.Done():
			return
		case <-ticks.C:
		}
		asked := stream.Clone(limited)
		asked.Method, asked.URL.Path, asked.URL.RawQuery = http.MethodHead, "/", ""
		response, err := c.h2.RoundTrip(asked)
		if err != nil { // no more requests are taken: that was announced, or the connection has ended
			return
		}
		_ = response.Body.Close()
	}
}

// begin sends a request whose answer is read as it comes.
func (c *conn) begin(asked *http.Request) (*http.Response, error) {
	if c.h2 != nil {
		return c.h2.RoundTrip(asked)
	}
	if err := asked.Write(c.stream); err != nil {
		return nil, err
	}
	return http.ReadResponse(c.reader, asked)
}

func when(response *http.Response) string {
	if response == nil {
		return ""
	}
	return halfWay
}

// failure is how a request was lost.
type failure struct {
	outcome string
	alert   int
	detail  string

	unwritten bool // nothing of the request was sent: its connection had ended before
	unread    bool // the server's kernel had not taken the request when the connection ended
}

func (f *failure) into(each *record) {
	each.Outcome, each.Alert, each.Detail, each.Ended = f.outcome, f.alert, f.detail, clock()
}

// failed names an error by what it is: an errno, an alert of TLS, an end of the stream.
func failed(err error, when string) *failure {
	result := &failure{outcome: endedProtocolError, detail: strings.TrimSpace(err.Error() + " " + when)}
	var remote *net.OpError
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		result.outcome = endedRefused
	case errors.Is(err, syscall.ECONNRESET):
		result.outcome = endedReset
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		result.outcome = endedUnreachable
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		result.outcome = endedOwnFault
	case errors.As(err, &name):
		result.outcome = endedUnresolved
		if name.IsTimeout {
			result.outcome = endedTimedOut
		}
	case errors.As(err, &remote) && remote.Op == "remote error": // an alert; its type is not exported
		result.outcome = endedTlsRefused
		result.alert = int(reflect.ValueOf(remote.Err).Uint())
	case errors.As(err, &certificate):
		result.outcome = endedUntrusted
	case errors.As(err, &header):
		result.outcome = endedNotTLS
	case errors.As(err, &timeout) && timeout.Timeout():
		result.outcome = endedTimedOut
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		result.outcome = endedClosed
		if when == halfWay {
			result.outcome = endedTruncated
		}
	}
	return result
}

// failed2 names an error of HTTP/2; see failed.
//
// What the server says that it has not processed is named so. Source: RFC 9113, 6.8 and 8.7.
// http2 exports few of its errors: the texts of the others are those of the release in go.mod.
func (c *conn) failed2(err error, when string) *failure {
	var stream http2.StreamError
	text := err.Error()
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{outcome: endedTimedOut, detail: strings.TrimSpace("no answer in time " + when)}
	case errors.As(err, &stream) && stream.Code == http2.ErrCodeRefusedStream,
		strings.Contains(text, "received Server's graceful shutdown GOAWAY"),
		strings.Contains(text, "received GOAWAY from server"):
		return &failure{outcome: endedNotProcessed, detail: text}
	case errors.As(err, &stream):
		return &failure{outcome: endedStreamReset, detail: strings.TrimSpace(text + " " + when)}
	case strings.HasPrefix(text, "http2: client conn"), errors.Is(err, net.ErrClosed): // it had ended
		lost := failed(c.heard.last(), when)
		// The other texts, as that of a connection that is lost, can come of a request that had been written.
		lost.unwritten = text == "http2: client conn not usable" || text == "http2: client conn could not be established"
		return lost
	case isGoAway(err):
		lost := failed(c.heard.last(), when)
		lost.detail = strings.TrimSpace(text + " " + when)
		return lost
	}
	return failed(err, when)
}

// isGoAway tells whether a connection ended after the server had announced it.
func isGoAway(err error) bool {
	var end http2.GoAwayError
	return errors.As(err, &end)
}
