// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"
	"os"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// MostLastWords is how many bytes of a container's last words the kubelet keeps.
const MostLastWords = 4096

// exitError carries an exit code through cobra.
type exitError struct {
	code int
	err  error
}

// Error implements error.
func (e *exitError) Error() string { return e.err.Error() }

// Unwrap gives access to the cause.
func (e *exitError) Unwrap() error { return e.err }

// ExitCode is the code that the process shall end with after a command returned err: 0 for none, the supervised
// program's own where there was one, else 1.
func ExitCode(err error) int {
	var carried *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &carried):
		return carried.code
	}
	return 1
}

// finish turns a command's outcome into its error, and tells failures to the person on call.
func finish(code int, err error) error {
	switch {
	case err == nil && code == 0:
		return nil
	case err == nil:
		err = fmt.Errorf("the supervised program ended with exit code %d; its own log says why", code)
	case code == 0:
		code = 1
	}
	var told *toldError
	if !errors.As(err, &told) {
		Tell(err.Error() + "\n")
	}
	return &exitError{code: code, err: err}
}

// toldError is a failure whose last words have been left already.
type toldError struct{ error }

// Unwrap gives access to the cause.
func (e *toldError) Unwrap() error { return e.error }

// Told marks an error of which Tell has been told, in words of its own: it does not replace them.
func Told(err error) error {
	if err == nil {
		return nil
	}
	return &toldError{err}
}

// Tell leaves the container's last words, which stand in the pod's description, in place of those left before.
func Tell(message string) {
	file, err := os.OpenFile(meta.TerminationLog, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return // outside a pod there is none.
	}
	_, _ = file.WriteString(message) // nobody is there to be told that it did not work.
	_ = file.Close()
}
