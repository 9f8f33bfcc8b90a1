// A server and a client of Go's net/http and of quic-go, for the tests: stacks that are not anybody else's.
//
//	program serve ADDRESS CERT KEY    HTTP/1.1 and HTTP/2 over TLS, HTTP/3 on the same port by UDP
//	program get URL...                net/http, with a key log where SSLKEYLOGFILE says
//	program get3 URL...               quic-go, likewise
//	program fetch URL                 net/http as it is by default, for 1.2 seconds
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/quic-go/quic-go/http3"
)

func answer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Trailer", "Checksum")
	fmt.Fprintf(w, "%s %s %d bytes by %s\n", r.Method, r.URL, len(body), r.Proto)
	if r.URL.Path == "/large" {
		w.Write(bytes.Repeat([]byte("go "), 100000))
	}
	w.Header().Set("Checksum", fmt.Sprint(len(body)))
}

func config() *tls.Config {
	c := &tls.Config{InsecureSkipVerify: true}
	if name := os.Getenv("SSLKEYLOGFILE"); name != "" {
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			log.Fatal(err)
		}
		c.KeyLogWriter = file
	}
	return c
}

func get(transport http.RoundTripper, urls []string) {
	client := &http.Client{Transport: transport}
	for n, url := range urls {
		var body io.Reader
		method := "GET"
		if n%2 == 1 {
			method, body = "POST", bytes.NewReader(bytes.Repeat([]byte("x"), 1000*n))
		}
		request, err := http.NewRequestWithContext(context.Background(), method, url, body)
		if err != nil {
			log.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			log.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		fmt.Println(response.StatusCode, response.Proto, len(text), response.Trailer.Get("Checksum"))
	}
}

func main() {
	switch os.Args[1] {
	case "serve":
		handler := http.HandlerFunc(answer)
		go func() { log.Fatal(http3.ListenAndServeQUIC(os.Args[2], os.Args[3], os.Args[4], handler)) }()
		log.Fatal(http.ListenAndServeTLS(os.Args[2], os.Args[3], os.Args[4], handler))
	case "get":
		get(&http.Transport{TLSClientConfig: config(), ForceAttemptHTTP2: true}, os.Args[2:])
	case "fetch": // one URL by the default client, which verifies certificates and gives up after 1.2 seconds
		client := http.Client{Timeout: 1200 * time.Millisecond}
		response, err := client.Get(os.Args[2])
		if err == nil {
			_, err = io.ReadAll(response.Body)
		}
		if err != nil {
			log.Fatal(err)
		}
	case "get3":
		transport := &http3.Transport{TLSClientConfig: config()}
		get(transport, os.Args[2:])
		transport.Close()
	}
}
