// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/png"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// redDot is a PNG of one red pixel.
var redDot = sync.OnceValue(func() []byte {
	img := image.NewRGBA(image.Rect(0, 0, 1, 1))
	img.Set(0, 0, color.RGBA{R: 0xff, A: 0xff})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic("backend: encode one pixel: " + err.Error()) // invariant: a buffer takes every write
	}
	return b.Bytes()
})

// silence is a WAV file: 8 kHz, mono, 16 bits, one millisecond.
var silence = sync.OnceValue(func() []byte {
	const rate, samples, bytesPerSample = 8000, 8, 2
	le := binary.LittleEndian
	b := append([]byte("RIFF"), le.AppendUint32(nil, 36+samples*bytesPerSample)...)
	b = append(b, "WAVEfmt "...)
	b = le.AppendUint32(b, 16) // size of the format that follows
	b = le.AppendUint16(b, 1)  // PCM
	b = le.AppendUint16(b, 1)  // channels
	b = le.AppendUint32(b, rate)
	b = le.AppendUint32(b, rate*bytesPerSample)
	b = le.AppendUint16(b, bytesPerSample)
	b = le.AppendUint16(b, 8*bytesPerSample)
	b = append(b, "data"...)
	b = le.AppendUint32(b, samples*bytesPerSample)
	return append(b, make([]byte, samples*bytesPerSample)...)
})

func pixel() *mcp.ImageContent { return &mcp.ImageContent{Data: redDot(), MIMEType: "image/png"} }

func embedded(uri, mimeType, body string) *mcp.EmbeddedResource {
	return &mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: uri, MIMEType: mimeType, Text: body}}
}

func addContentFixtures(s *mcp.Server) {
	fixed := func(name, description string, c ...mcp.Content) {
		addFixture(s, name, description, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return content(c...), nil
		})
	}
	fixed("test_simple_text", "Returns text.", text("This is a simple text response for testing."))
	fixed("test_image_content", "Returns an image.", pixel())
	fixed("test_audio_content", "Returns a sound.", &mcp.AudioContent{Data: silence(), MIMEType: "audio/wav"})
	fixed("test_embedded_resource", "Returns an embedded resource.",
		embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."))
	fixed("test_multiple_content_types", "Returns text, an image and an embedded resource.",
		text("Multiple content types test:"), pixel(),
		embedded("test://mixed-content-resource", "application/json", `{"test":"data","value":123}`))
	addFixture(s, "test_error_handling", "Always fails.", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		//lint:ignore ST1005 the suite's own words
		return nil, errors.New("This tool intentionally returns an error for testing")
	})
	addSchemaFixtures(s)
}

// schema2020 uses what the suite wants to see kept in tools/list (SEP-1613, SEP-2106).
const schema2020 = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object",
	"$defs": {"address": {
		"$anchor": "addressDef",
		"type": "object",
		"properties": {"street": {"type": "string"}, "city": {"type": "string"}}
	}},
	"properties": {
		"name": {"type": "string"},
		"address": {"$ref": "#/$defs/address"},
		"contactMethod": {"type": "string", "enum": ["phone", "email"]},
		"phone": {"type": "string"},
		"email": {"type": "string"}
	},
	"allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
	"if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
	"then": {"required": ["phone"]},
	"else": {"required": ["email"]},
	"additionalProperties": false
}`

// headerSchema has a property that modern clients repeat in the header Mcp-Param-Region (SEP-2243).
const headerSchema = `{
	"type": "object",
	"properties": {
		"region": {"type": "string", "description": "repeated in Mcp-Param-Region", "x-mcp-header": "Region"},
		"level": {"type": "integer", "description": "in the body only"}
	}
}`

func addSchemaFixtures(s *mcp.Server) {
	mcp.AddTool(s, &mcp.Tool{Name: "json_schema_2020_12_tool", Description: "Has a schema with features of JSON Schema 2020-12.",
		InputSchema: json.RawMessage(schema2020)},
		func(_ context.Context, _ *mcp.CallToolRequest, args json.RawMessage) (*mcp.CallToolResult, any, error) {
			return content(text("called with " + string(args))), nil, nil
		})
	type headerArgs struct {
		Region string `json:"region,omitempty"`
		Level  int    `json:"level,omitempty"`
	}
	mcp.AddTool(s, &mcp.Tool{Name: "test_x_mcp_header", Description: "Has an argument that is repeated in a header.",
		InputSchema: json.RawMessage(headerSchema)},
		func(_ context.Context, _ *mcp.CallToolRequest, a headerArgs) (*mcp.CallToolResult, any, error) {
			return content(text("region=" + a.Region)), nil, nil
		})
}
