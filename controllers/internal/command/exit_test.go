// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"
	"testing"
)

func TestExitCodes(t *testing.T) {
	cause := errors.New("cause")
	for name, tc := range map[string]struct {
		err  error
		want int
	}{
		"success":                           {finish(0, nil), 0},
		"the program's own code":            {finish(137, nil), 137},
		"failure without a program":         {finish(1, cause), 1},
		"failure is never 0":                {finish(0, cause), 1},
		"code under further words":          {fmt.Errorf("more: %w", finish(3, cause)), 3},
		"an error that is not of the agent": {cause, 1},
	} {
		if got := ExitCode(tc.err); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
	if !errors.Is(finish(1, cause), cause) || !errors.Is(finish(1, Told(cause)), cause) {
		t.Error("the cause is lost")
	}
	if Told(nil) != nil {
		t.Error("success became an error")
	}
}
