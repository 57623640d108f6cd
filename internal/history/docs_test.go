package history

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// What docs/history.md shows runs, and every table is in it.
func TestTheDocumentedQueriesRun(t *testing.T) {
	doc, err := os.ReadFile("../../docs/history.md")
	if err != nil {
		t.Fatal(err)
	}
	db := open1(t, t.TempDir())
	add(t, db, saved(t, "real.json"), "n")
	blocks := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	if len(blocks) == 0 {
		t.Fatal("docs/history.md shows no query")
	}
	for _, b := range blocks {
		rows, err := db.sql.Query(b[1])
		if err != nil {
			t.Errorf("%s: %v", b[1], err)
			continue
		}
		n := 0
		for rows.Next() {
			n++
		}
		if err := rows.Err(); err != nil || n == 0 {
			t.Errorf("%s: %d rows, %v", b[1], n, err)
		}
		rows.Close()
	}
	rows, err := db.sql.Query("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(doc), "| `"+name+"` |") {
			t.Errorf("docs/history.md lacks table %s", name)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
