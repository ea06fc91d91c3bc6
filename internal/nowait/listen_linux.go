package nowait

import (
	"errors"
	"net"
	"syscall"
)

// keepAlive is what package net sets on each connection that it accepts: in
// seconds, and a number of probes. Connections inherit it from the listener.
var keepAlive = map[[2]int]int{
	{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE}:   1,
	{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE}:  15,
	{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL}: 15,
	{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT}:   9,
}

// listenConfig spares each connection four system calls.
var listenConfig = net.ListenConfig{
	KeepAlive: -1, // accepted connections are left as they are
	Control: func(_, _ string, raw syscall.RawConn) error {
		var errs []error
		err := raw.Control(func(fd uintptr) {
			for option, value := range keepAlive {
				errs = append(errs, syscall.SetsockoptInt(int(fd), option[0], option[1], value))
			}
		})
		return errors.Join(append(errs, err)...)
	},
}
