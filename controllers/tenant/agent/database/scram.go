// SPDX-License-Identifier: Apache-2.0

package database

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	scramPrefix = "SCRAM-SHA-256$"
	// scramIterations is PostgreSQL's own default.
	scramIterations = 4096
	scramSaltBytes  = 16
)

// newVerifier computes what PostgreSQL stores for a password (RFC 5803), so that the password itself never
// appears in SQL or in the server's log.
func newVerifier(password string) (string, error) {
	salt := make([]byte, scramSaltBytes)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("make a salt: %w", err)
	}
	return verifierWith(password, salt, scramIterations)
}

// verifierWith computes the verifier for a given salt.
func verifierWith(password string, salt []byte, iterations int) (string, error) {
	// Other characters would need SASLprep (RFC 4013); the operator mints passwords without them.
	if strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", errors.New("the password has characters other than printable ASCII")
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("derive the password's key: %w", err)
	}
	stored := sha256.Sum256(sign(salted, "Client Key"))
	server := sign(salted, "Server Key")
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s%d:%s$%s:%s", scramPrefix, iterations, encode(salt), encode(stored[:]), encode(server)), nil
}

func sign(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// verifies says whether a stored verifier is that of the password. What is no verifier, is not.
func verifies(verifier, password string) bool {
	rest, ok := strings.CutPrefix(verifier, scramPrefix)
	if !ok {
		return false
	}
	head, _, _ := strings.Cut(rest, "$")
	count, encoded, _ := strings.Cut(head, ":")
	iterations, err := strconv.Atoi(count)
	if err != nil || iterations < 1 {
		return false
	}
	salt, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return false
	}
	want, err := verifierWith(password, salt, iterations)
	return err == nil && hmac.Equal([]byte(want), []byte(verifier))
}
