package cli

import "kqual/reports"

// columns is how every command prints rows.
var columns = reports.Columns
