// Package schematest helps tests that compare messages with the documents of the API.
package schematest

// Close makes the objects that a JSON document describes refuse all fields that it does not
// name. Clients must accept such fields of later versions, but no test may miss one that the
// document lacks.
func Close(document any) {
	switch v := document.(type) {
	case []any:
		for _, element := range v {
			Close(element)
		}
	case map[string]any:
		_, named := v["properties"].(map[string]any)
		if _, said := v["additionalProperties"]; named && v["type"] != nil && !said {
			v["additionalProperties"] = false
		}
		for _, value := range v {
			Close(value)
		}
	}
}
