// SPDX-License-Identifier: Apache-2.0

package program

import (
	"os/exec"
	"syscall"
)

// dieWithTests has the kernel kill the program when the tests are killed, which then can't.
func dieWithTests(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
