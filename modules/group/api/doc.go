// Package api serves groups over HTTP ([Controller]) and over sockets
// ([Gateway]): it reads requests, calls group.Service, and renders what that
// returns.
package api
