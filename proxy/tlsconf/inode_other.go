// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package tlsconf

import "io/fs"

func inode(fs.FileInfo) uint64 { return 0 }
