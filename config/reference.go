// SPDX-License-Identifier: Apache-2.0

package config

import _ "embed"

// A test makes reference.md from the doc comments of the structs and from their defaults, and fails while it differs.
//
//go:embed reference.md
var reference string

// Reference returns the reference page of edge.yaml and of topology files, in Markdown.
func Reference() string { return reference }
