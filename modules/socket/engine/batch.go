package engine

import "sync"

const (
	// maxBatch is the capacity, in frames, up to which a batch is reused.
	maxBatch = 1024
	// gatherBuffer is the maximum number of bytes of gathered frames in one write. It
	// equals the size of a TLS record.
	gatherBuffer = 16 << 10
)

// batch is a queue of frames. The engine pools batches, and a connection has one only while
// it has frames to write.
type batch struct {
	frames []*Frame
	next   int // index of the first frame that is not fully written
	out    int // bytes of that frame that were written
	size   int // bytes not written yet
	total  int // bytes of all frames
	lossy  int // bytes of lossy frames, written or not
	writes int // system calls that wrote bytes of the batch
}

func (b *batch) push(f *Frame) {
	b.frames = append(b.frames, f)
	b.size += f.Len()
	b.total += f.Len()
	if f.lossy {
		b.lossy += f.Len()
	}
}

// dropPong removes the last frame if it is a pong. Call it before any write.
func (b *batch) dropPong() {
	last := len(b.frames) - 1
	if last < 0 || b.frames[last].wire[0] != fin|byte(opPong) {
		return
	}
	b.size -= b.frames[last].Len()
	b.total -= b.frames[last].Len()
	b.frames[last] = nil
	b.frames = b.frames[:last]
}

// chunk returns the bytes to write next. It copies as many frames into buffer as fit, but
// not a frame that is the last one or does not fit into buffer alone.
func (b *batch) chunk(buffer []byte) []byte {
	left := b.frames[b.next:]
	head := left[0].wire[b.out:]
	if len(left) == 1 || len(head)+left[1].Len() > cap(buffer) {
		return head
	}
	chunk := buffer[:0]
	chunk = append(chunk, head...)
	for _, f := range left[1:] {
		if len(chunk)+f.Len() > cap(buffer) {
			break
		}
		chunk = append(chunk, f.wire...)
	}
	return chunk
}

// advance marks n more bytes as written.
func (b *batch) advance(n int) {
	if n > 0 {
		b.writes++
	}
	b.size -= n
	b.out += n
	for b.next < len(b.frames) && b.out >= b.frames[b.next].Len() {
		b.out -= b.frames[b.next].Len()
		b.next++
	}
}

// buffers pools the buffers that connections need only while they write.
type buffers struct {
	batches sync.Pool // of *batch
	gathers sync.Pool // of *[]byte with gatherBuffer bytes
}

func newBuffers() *buffers {
	b := new(buffers)
	b.batches.New = func() any { return new(batch) }
	b.gathers.New = func() any {
		buffer := make([]byte, 0, gatherBuffer)
		return &buffer
	}
	return b
}

func (b *buffers) batch() *batch {
	batch, _ := b.batches.Get().(*batch)
	return batch
}

func (b *buffers) release(done *batch) {
	if cap(done.frames) > maxBatch {
		return
	}
	clear(done.frames)
	*done = batch{frames: done.frames[:0]}
	b.batches.Put(done)
}

func (b *buffers) gather() *[]byte {
	buffer, _ := b.gathers.Get().(*[]byte)
	return buffer
}

func (b *buffers) put(buffer *[]byte) { b.gathers.Put(buffer) }
