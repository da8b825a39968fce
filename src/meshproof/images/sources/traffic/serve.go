package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	greeting  = "meshproof greets\n"
	graceTime = 30 * time.Second // for answers that are on their way when the server is asked to end
)

// Peer is who showed a certificate.
type Peer struct {
	Serial  string   `json:"serial"`
	Names   []string `json:"names"`
	Subject string   `json:"subject"`
}

// Encryption is what a server knows of the TLS that a request came by.
type Encryption struct {
	Version    string `json:"version"`
	ServerName string `json:"server_name"`
	Peer       *Peer  `json:"peer"`
}

// Forwarded is what another server answered.
type Forwarded struct {
	Status int `json:"status"`
	Body   any `json:"body"`
}

// Account is what a server tells of a request: it is both the answer and the line in its log.
type Account struct {
	Time      float64             `json:"time"` // seconds since 1970
	Pod       string              `json:"pod"`
	Protocol  string              `json:"protocol"`
	Method    string              `json:"method"`
	Path      string              `json:"path"`
	Host      string              `json:"host"`
	Headers   map[string][]string `json:"headers"`
	Remote    string              `json:"remote"`
	TLS       *Encryption         `json:"tls"`
	Forwarded *Forwarded          `json:"forwarded,omitempty"`
}

// journal writes a JSON object a line, if it is to.
type journal struct {
	kept bool
	lock sync.Mutex
}

func (j *journal) write(line any) {
	if j.kept {
		j.lock.Lock()
		defer j.lock.Unlock()
		_ = json.NewEncoder(os.Stdout).Encode(line)
	}
}

func serve(arguments []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	clear := flags.String("http", "", "where to listen for HTTP/1.1 and HTTP/2 in clear text, as :8080")
	encrypted := flags.String("tls", "", "where to listen for them by TLS")
	certificate := flags.String("certificate", "", "file of the certificate to show")
	key := flags.String("key", "", "file of its key")
	authority := flags.String("client-authority", "", "file of the authorities whose clients are let in; all are without it")
	greet := flags.String("greet", "", "where to listen for TCP and speak first")
	input := flags.Bool("input", false, "end when standard input does, too")
	logged := flags.Bool("log", false, "write a line of JSON once it listens, for each request, and for each handshake that fails")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	lines := &journal{kept: *logged}
	listening := map[string]string{}
	listen := func(what, where string) (net.Listener, error) {
		listener, err := net.Listen("tcp", where)
		if err == nil {
			listening[what] = listener.Addr().String()
		}
		return listener, err
	}
	ended := make(chan error, 2)
	var servers []*http.Server
	if *clear != "" {
		listener, err := listen("http", *clear)
		if err != nil {
			return err
		}
		server := newServer(lines)
		servers = append(servers, server)
		go func() { ended <- server.Serve(listener) }()
	}
	if *encrypted != "" {
		settings, err := clientsOf(*authority)
		if err != nil {
			return err
		}
		listener, err := listen("tls", *encrypted)
		if err != nil {
			return err
		}
		server := newServer(lines)
		server.TLSConfig = settings
		servers = append(servers, server)
		go func() { ended <- server.ServeTLS(listener, *certificate, *key) }()
	}
	if *greet != "" {
		listener, err := listen("greet", *greet)
		if err != nil {
			return err
		}
		go greetAll(listener)
	}
	lines.write(map[string]any{"time": now(), "listening": listening})
	select {
	case err := <-ended:
		return err
	case <-stopped():
	case <-endOf(os.Stdin, *input):
	}
	grace, cancel := context.WithTimeout(context.Background(), graceTime)
	defer cancel()
	var all sync.WaitGroup
	for _, server := range servers {
		all.Go(func() { _ = server.Shutdown(grace) })
	}
	all.Wait()
	return nil
}

// endOf returns a channel that is closed at the end of a file, if it is asked for; else it stays as it is.
func endOf(file *os.File, asked bool) <-chan struct{} {
	over := make(chan struct{})
	if asked {
		go func() {
			_, _ = io.Copy(io.Discard, file)
			close(over)
		}()
	}
	return over
}

func newServer(lines *journal) *http.Server {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	ending := make(chan struct{})
	server := &http.Server{
		Handler:           &handler{lines: lines, ending: ending},
		Protocols:         protocols,
		ReadHeaderTimeout: graceTime,
		ErrorLog:          log.New(&handshakes{lines}, "", 0),
	}
	server.RegisterOnShutdown(func() { close(ending) })
	return server
}

// clientsOf returns the TLS settings of a server that lets in the clients of some authorities only.
func clientsOf(authority string) (*tls.Config, error) {
	if authority == "" {
		return &tls.Config{}, nil
	}
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM", authority)
	}
	return &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}, nil
}

// handshakes reads what net/http says of handshakes that failed, which it tells nobody else.
type handshakes struct{ lines *journal }

func (h *handshakes) Write(line []byte) (int, error) {
	const before = "http: TLS handshake error from "
	text := strings.TrimSpace(string(line))
	if rest, ok := strings.CutPrefix(text, before); ok {
		remote, reason, _ := strings.Cut(rest, ": ")
		h.lines.write(map[string]any{"time": now(), "remote": remote, "handshake_failed": reason})
	} else {
		fmt.Fprintln(os.Stderr, text)
	}
	return len(line), nil
}

// handler answers, and loses what it is asked to lose. With once=NAME it does so the first time that it hears the name,
// and answers as usual from then on: a client that asks again, without a word, sees no loss.
type handler struct {
	lines  *journal
	ending <-chan struct{} // closed when the server is asked to end
	lost   sync.Map
}

func (h *handler) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	account := accountOf(request)
	defer func() { h.lines.write(account) }()
	query := request.URL.Query()
	word, argument, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/"), "/")
	if name := query.Get("once"); name != "" {
		if _, again := h.lost.LoadOrStore(name, true); again {
			word = ""
		}
	}
	switch word {
	case "reset":
		end(response, true)
	case "shut":
		end(response, false)
	case "close":
		response.Header().Set("Connection", "close") // of HTTP/2 net/http makes GOAWAY
		answer(response, http.StatusOK, account)
	case "truncate":
		truncate(response)
	case "hang":
		<-request.Context().Done()
	case "stream":
		lines, err := strconv.Atoi(query.Get("lines"))
		if err != nil {
			lines = math.MaxInt
		}
		every, whole := duration(query.Get("every"), 50*time.Millisecond), duration(query.Get("for"), time.Minute)
		stream(response, request, every, whole, lines, h.ending)
		if query.Has("cut") {
			panic(http.ErrAbortHandler)
		}
	case "forward":
		forwarded, err := forward(request, query.Get("url"))
		if err != nil {
			http.Error(response, err.Error(), http.StatusBadGateway)
			return
		}
		account.Forwarded = forwarded
		answer(response, http.StatusOK, account)
	case "slow":
		select {
		case <-time.After(duration(query.Get("for"), time.Second)):
		case <-request.Context().Done():
		}
		answer(response, http.StatusOK, account)
	case "status":
		status, err := strconv.Atoi(argument)
		if err != nil || status < 200 || status > 599 {
			http.Error(response, "no such status: "+argument, http.StatusBadRequest)
			return
		}
		answer(response, status, account)
	default:
		answer(response, http.StatusOK, account)
	}
}

// headersOf returns headers by their names in lower case.
func headersOf(headers http.Header) map[string][]string {
	lower := map[string][]string{}
	for name, values := range headers {
		lower[strings.ToLower(name)] = values
	}
	return lower
}

func accountOf(request *http.Request) *Account {
	name, _ := os.Hostname()
	return &Account{
		Time:     now(),
		Pod:      name,
		Protocol: request.Proto,
		Method:   request.Method,
		Path:     request.URL.RequestURI(),
		Host:     request.Host,
		Headers:  headersOf(request.Header),
		Remote:   request.RemoteAddr,
		TLS:      encryptionOf(request.TLS),
	}
}

func encryptionOf(state *tls.ConnectionState) *Encryption {
	if state == nil {
		return nil
	}
	encryption := &Encryption{
		Version:    strings.ReplaceAll(tls.VersionName(state.Version), "TLS ", "TLSv"),
		ServerName: state.ServerName,
	}
	if len(state.PeerCertificates) > 0 {
		shown := state.PeerCertificates[0]
		names := append([]string{}, shown.DNSNames...)
		for _, uri := range shown.URIs {
			names = append(names, uri.String())
		}
		encryption.Peer = &Peer{Serial: shown.SerialNumber.String(), Names: names, Subject: shown.Subject.String()}
	}
	return encryption
}

func answer(response http.ResponseWriter, status int, account *Account) {
	body, err := json.Marshal(account)
	if err != nil {
		panic(err)
	}
	response.Header().Set("Content-Type", "application/json")
	response.Header().Set("Content-Length", strconv.Itoa(len(body)))
	response.WriteHeader(status)
	_, _ = response.Write(body)
}

// end ends the connection by a TCP reset or by FIN, or an HTTP/2 stream by RST_STREAM.
func end(response http.ResponseWriter, reset bool) {
	connection, _, err := http.NewResponseController(response).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	underneath := connection
	if encrypted, ok := connection.(*tls.Conn); ok {
		underneath = encrypted.NetConn()
	}
	if plain, ok := underneath.(*net.TCPConn); ok && reset {
		_ = plain.SetLinger(0)
	}
	_ = underneath.Close()
}

// truncate promises more than it sends.
func truncate(response http.ResponseWriter) {
	half := bytes.Repeat([]byte("."), 64)
	response.Header().Set("Content-Length", strconv.Itoa(2*len(half)))
	_, _ = response.Write(half)
	_ = http.NewResponseController(response).Flush()
	panic(http.ErrAbortHandler)
}

// stream sends a line now and then, until its time is up, it has sent enough, the server is to end, or the client goes.
func stream(
	response http.ResponseWriter, request *http.Request, every, whole time.Duration, lines int, ending <-chan struct{},
) {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	end := time.After(whole)
	for number := range lines {
		if _, err := fmt.Fprintf(response, "%d\n", number); err != nil {
			return
		}
		if err := http.NewResponseController(response).Flush(); err != nil {
			return
		}
		select {
		case <-ticks.C:
		case <-end:
			return
		case <-ending:
			return
		case <-request.Context().Done():
			return
		}
	}
}

// clients is what requests are forwarded by: each on a connection of its own, so that none is repeated unseen.
var clients = &http.Client{
	Transport: &http.Transport{DisableKeepAlives: true},
	Timeout:   graceTime,
	CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	},
}

func forward(request *http.Request, url string) (*Forwarded, error) {
	sent, err := http.NewRequestWithContext(request.Context(), http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := clients.Do(sent)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	var body any
	if json.Unmarshal(text, &body) != nil {
		body = string(text)
	}
	return &Forwarded{Status: response.StatusCode, Body: body}, nil
}

// greetAll speaks first on each connection, and then repeats what it hears.
func greetAll(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			go greetOne(connection)
		}
	}
}

func greetOne(connection net.Conn) {
	defer func() { _ = connection.Close() }()
	if _, err := io.WriteString(connection, greeting); err != nil {
		return
	}
	lines := bufio.NewScanner(connection)
	for lines.Scan() {
		if _, err := fmt.Fprintln(connection, lines.Text()); err != nil {
			return
		}
	}
}

func duration(text string, otherwise time.Duration) time.Duration {
	if parsed, err := time.ParseDuration(text); err == nil && parsed > 0 {
		return parsed
	}
	return otherwise
}

func now() float64 {
	return float64(time.Now().UnixMicro()) / 1e6
}
