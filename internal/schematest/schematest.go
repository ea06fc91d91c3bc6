// Package schematest helps tests that compare messages with the API's documents.
package schematest

// Close makes the objects in a JSON document refuse all fields that it does not describe.
// Clients must accept additional fields, but a test must notice a field that is missing in
// the document.
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
