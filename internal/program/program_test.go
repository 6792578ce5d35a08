// SPDX-License-Identifier: Apache-2.0

package program

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"meridian/internal/testnet"
)

// modeEnv makes the tests' own program one that tests start: "obey" ends with 0 on SIGTERM, "fail" with 3 at once.
const modeEnv = "MERIDIAN_TEST_PROGRAM"

func TestMain(m *testing.M) {
	switch os.Getenv(modeEnv) {
	case "obey":
		told := make(chan os.Signal, 1)
		signal.Notify(told, syscall.SIGTERM)
		fmt.Println("started")
		<-told
		fmt.Fprintln(os.Stderr, "ended")
		os.Exit(0)
	case "fail":
		os.Exit(3)
	}
	goleak.VerifyTestMain(m)
}

func in(mode string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), modeEnv+"="+mode)
	return cmd
}

func started(t *testing.T, p *Process) {
	t.Helper()
	testnet.Wait(t, "the program's first word", func() bool { return strings.Contains(p.Out.String(), "started") })
}

// record is a test's T that keeps what it is told.
type record struct {
	testing.TB
	errors []string
}

func (r *record) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestAProgramEndsWithItsTestAndAllThatItPrintedIsThere(t *testing.T) {
	var p *Process
	t.Run("inner", func(t *testing.T) {
		p = Start(t, in("obey"))
		started(t, p)
	})
	select {
	case <-p.Done():
	default:
		t.Fatal("it lives longer than its test")
	}
	if got := p.Out.String(); got != "started\nended\n" {
		t.Errorf("it printed %q", got)
	}
}

func TestAProgramThatFailsFailsItsTestOnce(t *testing.T) {
	p := Launch(t, in("fail"))
	<-p.Done()
	r := &record{TB: t}
	p.End(r)
	p.End(r)
	if len(r.errors) != 1 || !strings.Contains(r.errors[0], "exit status 3") {
		t.Errorf("got %q", r.errors)
	}
}

func TestAKilledProgramHasNoNotice(t *testing.T) {
	p := Start(t, in("obey"))
	started(t, p)
	p.Kill()
	if got := p.Out.String(); got != "started\n" {
		t.Errorf("it printed %q", got)
	}
	r := &record{TB: t}
	if p.End(r); r.errors != nil {
		t.Errorf("its end is a failure: %q", r.errors)
	}
}

func TestBuildNamesWhatItCannotBuild(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir, err := Build(false, "meridian/cmd/nothing")
	if err == nil || !strings.Contains(err.Error(), "meridian/cmd/nothing") {
		t.Errorf("got %v", err)
	}
	if filepath.Dir(dir) != os.Getenv("TMPDIR") {
		t.Errorf("built in %s", dir)
	}
}
