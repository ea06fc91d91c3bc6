// Package e2e tests the moim binary from outside, as its users meet it: real
// processes, real Redis and PostgreSQL servers, the real socket.io-client, a
// plain WebSocket client, a browser, and the clients that docs/sockets.md shows.
// It holds tests only.
//
// What it needs beside Go: node and npm for socket.io-client, redis-server,
// PostgreSQL and Chromium. Where one is missing, the tests that need it are skipped, or fail
// when the environment has CI set.
package e2e
