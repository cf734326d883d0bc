// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"fmt"
	"time"
)

// interval is a time between two attempts, in words.
func interval(d time.Duration) string {
	if d%time.Minute != 0 {
		return d.String()
	}
	return fmt.Sprintf("%d minutes", int(d/time.Minute))
}

func hours(d time.Duration) string { return fmt.Sprintf("%d hours", int(d/time.Hour)) }

// baseBackups is a number of them, in words.
func baseBackups(n int) string {
	if n == 1 {
		return "1 base backup"
	}
	return fmt.Sprintf("%d base backups", n)
}

// stand is until when an archive reaches, in words.
func stand(until time.Time) string {
	if until.IsZero() {
		return "no moment yet"
	}
	return moment(until)
}
