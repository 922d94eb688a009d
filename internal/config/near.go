package config

import "strings"

// nearest is the word of a list that another was meant to be; "" where none is near.
func nearest(word string, list []string) string {
	best, least := "", 1+max(1, min(2, len(word)/3))
	if len(word) < 2 || len(word) > 64 {
		return ""
	}
	for _, w := range list {
		if d := distance(word, w); d < least {
			best, least = w, d
		}
	}
	return best
}

// nearestEnd is the word of which the end, after the first _, was meant: process_healthy
// by helthy.
func nearestEnd(word string, list []string) string {
	ends := map[string]string{}
	var all []string
	for _, w := range list {
		if _, end, ok := strings.Cut(w, "_"); ok {
			ends[end], all = w, append(all, end)
		}
	}
	return ends[nearest(word, all)]
}

// Meant is the hint that names what was meant by a word, of a list; "" where that isn't
// known.
func Meant(word string, list []string) string { return didYouMean(nearest(word, list)) }

// didYouMean is the hint that names what was meant; "" where that isn't known.
func didYouMean(near string) string {
	if near == "" {
		return ""
	}
	return "did you mean " + near + "?"
}

// distance counts the letters that have to be put in, left out, changed, or swapped with
// their neighbour (Damerau and Levenshtein).
func distance(a, b string) int {
	if len(a) > len(b)+3 || len(b) > len(a)+3 {
		return 99
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
