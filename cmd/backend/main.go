// SPDX-License-Identifier: Apache-2.0

// Command backend runs one MCP worker.
package main

import "os"

func main() { os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr)) }
