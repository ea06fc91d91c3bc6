// Package e2e tests the moim binary from outside: with real processes, real Redis and
// PostgreSQL servers, the real socket.io-client, a plain WebSocket client, a browser, and
// the clients in docs/sockets.md. It contains only tests.
//
// In addition to Go, it needs node and npm for socket.io-client, redis-server, PostgreSQL
// and Chromium. If one is missing, the tests that need it are skipped; if CI is set, they
// fail.
package e2e
