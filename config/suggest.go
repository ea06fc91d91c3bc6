package config

import "fmt"

func (k Key) name() string { return k.Name }

// suggest returns the most similar key, if one is similar enough.
func suggest(wrong string, spell func(Key) string) string {
	var known []string
	for _, k := range keys() {
		known = append(known, spell(k))
	}
	best := Closest(wrong, known)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// Closest returns the known word that is most similar to wrong, or "" if none is similar
// enough.
func Closest(wrong string, known []string) string {
	best, distance := "", len(wrong)/3+1
	for _, word := range known {
		if d := editDistance(wrong, word); d < distance {
			best, distance = word, d
		}
	}
	return best
}

// editDistance returns the number of characters to insert, delete or replace to turn a into
// b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := previous
			if a[i] != b[j] {
				cost++
			}
			previous = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
