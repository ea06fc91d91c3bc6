package transfer

// InSteps limits batches to the given number of lines.
func (i *Importer) InSteps(lines int) *Importer {
	i.most = lines
	return i
}
