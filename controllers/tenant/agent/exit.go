// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"os"
)

// terminationLog is where the kubelet reads a container's last words; the kubelet keeps 4096 bytes.
const terminationLog = "/dev/termination-log"

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
	tell(err.Error())
	return &exitError{code: code, err: err}
}

// tell leaves a message in the pod's description; the caller of the command prints it.
func tell(message string) {
	file, err := os.OpenFile(terminationLog, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return // outside a pod there is none.
	}
	_, _ = file.WriteString(message + "\n") // the message goes to standard error in any case.
	_ = file.Close()
}
