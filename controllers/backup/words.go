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

// counted is a number of things, in words.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func baseBackups(n int) string { return counted(n, "base backup", "base backups") }

func snapshots(n int) string {
	return counted(n, "snapshot of the application's data", "snapshots of the application's data")
}

// stand is until when an archive reaches, in words.
func stand(until time.Time) string {
	if until.IsZero() {
		return "no moment yet"
	}
	return moment(until)
}
