// Command traffic is both ends of the traffic that scenarios are proven under: a server that tells what reached it, and a
// sender that records what became of each request.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = "usage: traffic serve [options] | traffic send | traffic wait"

func main() {
	if len(os.Args) < 2 {
		fail(usage)
	}
	var err error
	switch os.Args[1] {
	case "serve":
		err = serve(os.Args[2:])
	case "send":
		err = send(os.Stdin, os.Stdout)
	case "wait":
		<-stopped()
	default:
		fail(usage)
	}
	if err != nil {
		fail(err.Error())
	}
}

// stopped returns a channel that has something to read once the program is asked to end.
func stopped() <-chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	return signals
}

func fail(reason string) {
	fmt.Fprintln(os.Stderr, "traffic: "+reason)
	os.Exit(2)
}
