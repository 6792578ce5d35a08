// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"io"
	"log"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quiet is for servers that say what clients do wrong on purpose.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
