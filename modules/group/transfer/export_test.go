package transfer

// InSteps makes batches of at most some lines.
func (i *Importer) InSteps(lines int) *Importer {
	i.most = lines
	return i
}
