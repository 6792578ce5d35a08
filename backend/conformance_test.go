// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"bytes"
	"context"
	"image/png"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The fixtures' exact answers are checked by the official suite (scripts/conformance.sh); here is what it does not check.

func TestAStateOfOneWorkerIsTakenByAnotherOfThePool(t *testing.T) {
	a, b, other := newSeal("mcp"), newSeal("mcp"), newSeal("web")
	sealed := a.close("round=1.2")
	if state, ok := b.open(sealed); !ok || state != "round=1.2" {
		t.Errorf("the same pool: got %q, %v", state, ok)
	}
	if _, ok := other.open(sealed); ok {
		t.Error("another pool took the state")
	}
}

func FuzzOnlySealedStatesAreOpened(f *testing.F) {
	k := newSeal("mcp")
	for _, s := range []string{"", ".", "a.b", k.close("x"), k.close("x") + "-TAMPERED", "y" + k.close("x")} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sealed string) {
		if state, ok := k.open(sealed); ok && k.close(state) != sealed {
			t.Errorf("opened %q, which was never sealed", sealed)
		}
	})
}

func TestTheFixturesMediaAreWellFormed(t *testing.T) {
	if _, err := png.Decode(bytes.NewReader(redDot())); err != nil {
		t.Errorf("the image: %v", err)
	}
	w := silence()
	if string(w[:4]) != "RIFF" || string(w[8:16]) != "WAVEfmt " || int(w[4])+8 != len(w) {
		t.Errorf("the sound: % x", w)
	}
}

func TestAChangeReachesAListener(t *testing.T) {
	r := start(t, Config{Toolset: ToolsetConformance})
	changed := make(chan struct{}, 10)
	s := r.dial(t, legacy, &mcp.ClientOptions{ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { changed <- struct{}{} }})
	until(t, "the stream is open", func() bool { _, n := r.work.counts(); return n == 1 })
	if _, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "test_trigger_tool_change"}); err != nil {
		t.Fatal(err)
	}
	until(t, "the change is announced", func() bool { return len(changed) > 0 })
}

func TestCompletionsBeginWithWhatWasTyped(t *testing.T) {
	s := start(t, Config{Toolset: ToolsetConformance}).dial(t, legacy, nil)
	res, err := s.Complete(t.Context(), &mcp.CompleteParams{
		Ref:      &mcp.CompleteReference{Type: "ref/prompt", Name: "test_prompt_with_arguments"},
		Argument: mcp.CompleteParamsArgument{Name: "arg1", Value: "par"},
	})
	if err != nil || len(res.Completion.Values) != 3 || !strings.HasPrefix(res.Completion.Values[0], "par") {
		t.Errorf("got %+v, %v", res, err)
	}
}
