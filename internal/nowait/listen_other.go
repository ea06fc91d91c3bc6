//go:build !linux

package nowait

import "net"

var listenConfig net.ListenConfig
