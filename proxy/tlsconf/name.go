// SPDX-License-Identifier: Apache-2.0

package tlsconf

import (
	"crypto/tls"
	"errors"
)

// errName ends a handshake whose server name is none. Go has refused a trailing dot and more than one name already.
var errName = errors.New("the client's server name is not a host name")

// checkName refuses a handshake with a server name that no host has (RFC 6066, section 3; RFC 1035, section 2.3.4): a name
// that two programs read differently would be one host's to the first and another's to the second. It is asked for
// resumed sessions, too, and leaves the configuration as it is.
func checkName(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if !isHostName(hello.ServerName) {
		return nil, errName
	}
	return nil, nil
}

// isHostName reports whether s is empty or labels of 1 to 63 letters, digits, "-" and "_", 253 bytes in all.
func isHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	label := 0
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '_':
			if label++; label > 63 {
				return false
			}
		case b == '.' && label > 0:
			label = 0
		default:
			return false
		}
	}
	return s == "" || label > 0
}
