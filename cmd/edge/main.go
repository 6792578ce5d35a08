// SPDX-License-Identifier: Apache-2.0

// Command edge is Meridian: the reverse proxy, global load balancer and DNS authority of one region, and the command
// line with which operators see and change the fleet.
package main

import "os"

func main() { os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr)) }
