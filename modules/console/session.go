package console

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/limit"
)

const (
	// cookieName is the cookie that holds the token. It is a session by itself, so that
	// every node knows who has signed in.
	cookieName = "moim_console"
	// maxToken is how much of it browsers keep for sure, in bytes.
	maxToken = 3800
	// developmentTTL is how long a session of development mode lasts.
	developmentTTL = 12 * time.Hour
	// developer is the user of development mode.
	developer = "developer"
)

// The last parts of the paths, which are directly below the console, so that the cookie's
// default path is the console, whatever a proxy has cut from the path.
const signInPath, signOutPath = "sign-in", "sign-out"

// signInPage is what the sign-in page shows.
type signInPage struct {
	Developing bool
	Problem    string
}

func (c *Console) showSignIn(g *gin.Context) {
	c.render(g, http.StatusOK, c.signInView(), visit{}, signInPage{Developing: c.developing(g.Request)})
}

func (c *Console) signInView() *view {
	return &view{path: signInPath, title: "Sign in", file: "signin.html"}
}

// signIn checks a token, and stores it in the cookie.
func (c *Console) signIn(g *gin.Context) {
	token, err := c.offered(g)
	var id auth.Identity
	if err == nil {
		id, err = c.deps.Verify(g.Request.Context(), token)
	}
	if err == nil {
		_, err = id.Console()
	}
	if err != nil {
		problem := c.problem(g, err)
		c.render(g, problem.Status, c.signInView(), visit{}, signInPage{Developing: c.developing(g.Request), Problem: problem.Message})
		return
	}
	c.setCookie(g, token, int(time.Until(id.Expires).Seconds()))
	redirect(g, "./")
}

// offered returns the token that the form has, or one of development mode.
func (c *Console) offered(g *gin.Context) (string, error) {
	if g.Request.PostForm.Has("development") {
		if !c.developing(g.Request) {
			return "", fault.ErrForbidden.WithMessage("this node is not in development mode, or you do not reach it as localhost: sign in with the token of a back end")
		}
		return c.deps.Mint(auth.Identity{UserID: developer, Name: "Developer", Admin: true, Expires: time.Now().Add(developmentTTL)})
	}
	token := strings.TrimPrefix(strings.TrimSpace(g.Request.PostForm.Get("token")), "Bearer ")
	if len(token) > maxToken {
		return "", fault.ErrBadRequest.WithMessage(fmt.Sprintf("the token has %d bytes, and browsers keep %d: sign one with fewer claims", len(token), maxToken))
	}
	return token, nil
}

// signOut ends the session in this browser. The token stays valid.
func (c *Console) signOut(g *gin.Context) {
	if cookie, err := g.Request.Cookie(cookieName); err == nil {
		c.streams.end(cookie.Value)
	}
	c.setCookie(g, "", -1)
	redirect(g, signInPath+"?done=signed-out")
}

func (c *Console) setCookie(g *gin.Context, token string, maxAge int) {
	http.SetCookie(g.Writer, &http.Cookie{
		Name: cookieName, Value: token, MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: c.deps.Proxies.Secure(g.Request),
	})
}

// visit is a request of somebody who has signed in.
type visit struct {
	caller auth.Identity // for whom the service is called
	token  string
	g      *gin.Context

	failed *failure // the form that was sent, if it was refused
	once   any      // or what it shows
}

// query returns a parameter of the page.
func (v visit) query(name string) string { return strings.TrimSpace(v.g.Query(name)) }

// enter returns the visit of a request. Without a valid token it answers the request, and
// reports false.
func (c *Console) enter(g *gin.Context) (v visit, ok bool) {
	cookie, err := g.Request.Cookie(cookieName)
	if err != nil {
		redirect(g, rootOf(g)+signInPath)
		return visit{}, false
	}
	v = visit{token: cookie.Value, g: g}
	v.caller, err = c.identify(g, v.token)
	switch {
	case err == nil:
		return v, true
	case fault.From(err).Kind == fault.Unauthenticated:
		redirect(g, rootOf(g)+signInPath+"?done=ended")
	default:
		c.fail(g, visit{}, err)
	}
	return visit{}, false
}

// identify returns for whom a token makes calls.
func (c *Console) identify(g *gin.Context, token string) (auth.Identity, error) {
	ctx := g.Request.Context()
	id, err := c.deps.Verify(ctx, token)
	if err != nil {
		return auth.Identity{}, err
	}
	if id, err = id.Console(); err == nil {
		limit.Settle(ctx, id.UserID, true)
	}
	return id, err
}
