// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// table returns what draw draws for people.
func table(t *testing.T, draw func(*printer)) string {
	t.Helper()
	var b bytes.Buffer
	o := options{output: "table"}
	if err := o.print(&b, nil, draw); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAValueIsPrintedInEachForm(t *testing.T) {
	v := struct {
		B string   `json:"b"`
		A []string `json:"a"`
	}{"x < y & z", []string{}}
	for form, want := range map[string]string{
		"json":  "{\n  \"b\": \"x < y & z\",\n  \"a\": []\n}\n",
		"yaml":  "b: x < y & z\na: []\n",
		"table": "HEAD  TWO\nb     x\n\nwide enough to matter\nNEXT\n",
	} {
		var b bytes.Buffer
		o := options{output: form}
		if err := o.checkOutput(); err != nil {
			t.Error(err)
		}
		if err := o.print(&b, v, func(p *printer) {
			p.head("HEAD", "TWO")
			p.row("b", "x")
			p.line("")
			p.line("wide enough to matter")
			p.head("NEXT")
		}); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("%s: %s", form, diff)
		}
	}
	if err := (&options{output: "xml"}).checkOutput(); !errors.As(err, &misuse{}) {
		t.Errorf("xml: %v; want a misuse", err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestWhatCannotBePrintedIsAnError(t *testing.T) {
	for _, form := range []string{"json", "yaml", "table"} {
		o := options{output: form}
		if err := o.print(fullDisk{}, 1, func(p *printer) { p.row("x") }); err == nil {
			t.Errorf("%s: no error", form)
		}
		if err := o.print(fullDisk{}, 1, func(p *printer) { p.line("x") }); err == nil {
			t.Errorf("%s, a line: no error", form)
		}
	}
}

func TestEveryPrintedCommandSpeaksJSONAndYAML(t *testing.T) {
	standalone := "../../etc/examples/standalone.yaml"
	for _, args := range [][]string{{"version"}, {"check", "-f", standalone}, {"check", "-c", "../../etc/examples/edge.yaml"}} {
		code, out, errs := runMain(append(args, "-o", "json")...)
		if code != 0 || !json.Valid([]byte(out)) || errs != "" {
			t.Errorf("%v -o json: %d %q %q", args, code, out, errs)
		}
		code, out, errs = runMain(append(args, "-o", "yaml")...)
		if code != 0 || out == "" || json.Valid([]byte(out)) || errs != "" {
			t.Errorf("%v -o yaml: %d %q %q", args, code, out, errs)
		}
		if code, out, _ := runMain(args...); code != 0 || out == "" {
			t.Errorf("%v: %d %q", args, code, out)
		}
	}
}
