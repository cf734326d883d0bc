// SPDX-License-Identifier: Apache-2.0

package conditions

import "testing"

func TestATextIsCutOnlyWhereItIsTooLongAndNeverInACharacter(t *testing.T) {
	for text, want := range map[string]string{"short": "short", "exactly ten": "exactly...", "äöüäöü": "äöü...", "": ""} {
		if got := Shorten(text, 10); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
