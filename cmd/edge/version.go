// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"meridian/geo"
)

// version is the release; the build sets it with -ldflags "-X main.version=…".
var version = "dev"

type versionInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	GeoData  string `json:"geo_data"` // date of the embedded table
}

func currentVersion() versionInfo {
	v := versionInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		GeoData: geo.Embedded().Built().Format("2006-01-02")}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	return v
}

func versionCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and the date of the embedded geographic data",
		RunE: func(c *cobra.Command, _ []string) error {
			v := currentVersion()
			return o.print(c.OutOrStdout(), v, func(p *printer) {
				p.line("edge " + v.Version + " (" + v.Go + ", " + v.Platform + ", geographic data of " + v.GeoData + ")")
			})
		},
	}
}
