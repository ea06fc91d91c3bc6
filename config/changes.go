package config

import "reflect"

// Changes returns the names of the keys whose values differ between c and to, in their
// documented order.
func (c Config) Changes(to Config) []string {
	before, after := reflect.ValueOf(c.WithDefaults()), reflect.ValueOf(to.WithDefaults())
	var changed []string
	for _, k := range keys() {
		if !reflect.DeepEqual(before.FieldByIndex(k.index).Interface(), after.FieldByIndex(k.index).Interface()) {
			changed = append(changed, k.Name)
		}
	}
	if !reflect.DeepEqual(c.Hooks, to.Hooks) {
		changed = append(changed, hooksKey)
	}
	return changed
}
