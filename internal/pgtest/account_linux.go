package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"

	"github.com/moim-live/moim/internal/childtest"
)

// prepare runs the server under another account if this process is root, because PostgreSQL
// refuses to run as root.
func prepare(cmd *exec.Cmd) {
	if uid, gid, err := account(); err == nil && os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	}
	childtest.DieWithParent(cmd)
}

// giveAway makes the server's account the owner of dir.
func giveAway(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := account()
	if err != nil {
		return err
	}
	return os.Chown(dir, int(uid), int(gid))
}

func account() (uid, gid uint32, err error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, lookup := user.Lookup(name)
		if lookup != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(errUID, errGID); err != nil {
			return 0, 0, err
		}
		return uint32(uid), uint32(gid), nil
	}
	return 0, 0, fmt.Errorf("no account to run PostgreSQL under: neither postgres nor nobody exists")
}
