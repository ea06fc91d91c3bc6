package presencetest

import "testing"

func testState(t *testing.T, nodes []*node) {
	n := nodes[0]
	n.apply(t, "g", "+ana", "+bo")
	n.setState(t, "g", "ana", `{"x":1}`)
	n.setState(t, "g", "bo", `{"y":"a b"}`)
	want(t, "present", n.list(t, "g"), `ana online {"x":1}`, `bo online {"y":"a b"}`)
	n.setState(t, "g", "ana", `{"x":2}`)
	want(t, "reported", n.apply(t, "g", "~ana"), `ana reconnecting dropped {"x":2}`)
	want(t, "present", n.list(t, "g"), `ana reconnecting {"x":2}`, `bo online {"y":"a b"}`)
	want(t, "reported", n.apply(t, "g", "+ana"), `ana online again {"x":2}`)
	n.setState(t, "g", "bo", "null")
	want(t, "present", n.list(t, "g"), `ana online {"x":2}`, `bo online`)
	n.setState(t, "g", "bo", "null")
	want(t, "reported", n.apply(t, "g", "-ana"), "ana offline left")
	want(t, "present", n.list(t, "g"), "ana offline", "bo online")
	want(t, "reported", n.apply(t, "g", "+ana"), "ana online")
}

// testStateOfNobody sets states before their users are stored, and after they left.
func testStateOfNobody(t *testing.T, nodes []*node) {
	n := nodes[0]
	n.setState(t, "g", "ana", `{"x":1}`)
	want(t, "reported", n.apply(t, "g", "+ana"), `ana online {"x":1}`)
	for _, going := range []string{"-", "!", "~"} {
		user := "bo" + going
		n.setState(t, "g", user, `{"x":1}`)
		want(t, "reported", n.apply(t, "g", going+user))
		want(t, "reported", n.apply(t, "g", "+"+user), user+" online")
	}
}

func testLastState(t *testing.T, nodes []*node) {
	for _, n := range nodes {
		n.apply(t, "g", "+ana")
	}
	for _, n := range nodes {
		n.setState(t, "g", "ana", `{"x":1}`)
		n.setState(t, "g", "ana", `{"x":2}`)
		want(t, "present", nodes[0].list(t, "g"), `ana online {"x":2}`)
	}
	nodes[1].setState(t, "g", "ana", `{"x":3}`)
	for _, n := range nodes {
		want(t, "present", n.list(t, "g"), `ana online {"x":3}`)
	}
	nodes[0].apply(t, "g", "!ana")
	want(t, "present", nodes[0].list(t, "g"), `ana online {"x":3}`)
}
