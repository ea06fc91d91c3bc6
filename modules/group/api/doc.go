// Package api serves groups over HTTP ([Controller]) and over sockets ([Gateway]). It reads
// requests, calls group.Service, and renders the results.
package api
