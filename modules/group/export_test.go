package group

import "slices"

// RecordedActions returns the actions of all audit entries about groups. Revoking tokens
// and closing sockets are not about groups.
func RecordedActions() []string {
	all := []string{auditCreate, auditAcceptInvite, auditRenameUser, auditEraseUser}
	for _, p := range permissions {
		if p.recorded != "" {
			all = append(all, p.recorded)
		}
	}
	return slices.Sorted(slices.Values(all))
}
