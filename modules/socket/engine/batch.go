package engine

import "sync"

const (
	// maxBatch is how many frames long a queue is reused.
	maxBatch = 1024
	// gatherBuffer is how many bytes of gathered frames are written at once; a
	// TLS record holds as much.
	gatherBuffer = 16 << 10
)

// batch is a queue of frames. Only connections with something to write have
// one: the engine keeps the others.
type batch struct {
	frames []*Frame
	next   int // the first frame that is not wholly out
	out    int // bytes of it that are
	size   int // bytes that are not out
	total  int // bytes of all frames
	writes int // system calls that took part of it
}

func (b *batch) push(f *Frame) {
	b.frames = append(b.frames, f)
	b.size += f.Len()
	b.total += f.Len()
}

// dropPong takes the last frame back if it is a pong. Nothing of the batch is
// out yet.
func (b *batch) dropPong() {
	last := len(b.frames) - 1
	if last < 0 || b.frames[last].op() != opPong {
		return
	}
	b.size -= b.frames[last].Len()
	b.total -= b.frames[last].Len()
	b.frames[last] = nil
	b.frames = b.frames[:last]
}

// chunk returns what is to be written next: a large or last frame as it is, or
// as many frames as fit into buffer.
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

// group returns the frames that are to be written next together, and how many
// bytes they have: limit at most, or a single larger frame. No frame is out in
// part.
func (b *batch) group(limit int) (frames []*Frame, size int) {
	for _, f := range b.frames[b.next:] {
		if size > 0 && size+f.Len() > limit {
			break
		}
		frames = b.frames[b.next : b.next+len(frames)+1]
		size += f.Len()
	}
	return frames, size
}

// wrote takes n bytes more as out.
func (b *batch) wrote(n int) {
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

// buffers lends connections what they need only while they write.
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
