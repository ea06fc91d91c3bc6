package engine

import (
	"net"
	"sync"
)

// corked is a connection whose writes can be gathered, so that frames that are
// sent together are one system call and, under TLS, one record.
type corked struct {
	net.Conn

	mu     sync.Mutex
	on     bool
	buffer []byte
}

// Write implements [net.Conn].
func (c *corked) Write(data []byte) (int, error) {
	c.mu.Lock()
	if c.on {
		c.buffer = append(c.buffer, data...)
		c.mu.Unlock()
		return len(data), nil
	}
	c.mu.Unlock()
	return c.Conn.Write(data)
}

// cork keeps what is written from now on in buffer, until uncork.
func (c *corked) cork(buffer []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on, c.buffer = true, buffer[:0]
}

// uncork writes what was gathered. Writes that come meanwhile are gathered too,
// so that they follow.
func (c *corked) uncork() error {
	var written int
	for {
		c.mu.Lock()
		data := c.buffer[written:]
		if len(data) == 0 {
			c.on, c.buffer = false, nil
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
		n, err := c.Conn.Write(data)
		written += n
		if err != nil {
			c.mu.Lock()
			c.on, c.buffer = false, nil
			c.mu.Unlock()
			return err
		}
	}
}
