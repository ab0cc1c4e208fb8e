// The reference's own design: Gin, a cache of JSON in Redis, decoded and encoded for every answer.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gomodule/redigo/redis"
)

type course struct {
	ID          string    `json:"id"`
	Title       string    `json:"title"`
	Description string    `json:"description"`
	Difficulty  string    `json:"difficulty"`
	ImageURL    string    `json:"image_url,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

type page struct {
	Data       []course `json:"data"`
	Pagination struct {
		CurrentPage int  `json:"current_page"`
		TotalPages  int  `json:"total_pages"`
		TotalCount  int  `json:"total_count"`
		HasNext     bool `json:"has_next"`
		HasPrev     bool `json:"has_prev"`
		Limit       int  `json:"limit"`
	} `json:"pagination"`
}

func main() {
	gin.SetMode(gin.ReleaseMode)
	pool := &redis.Pool{
		MaxIdle:   64,
		MaxActive: 64,
		Wait:      true,
		Dial:      func() (redis.Conn, error) { return redis.DialURL(os.Getenv("CACHE_URL")) },
	}
	router := gin.New()
	router.Use(gin.Recovery())
	router.GET("/cached", func(c *gin.Context) {
		connection := pool.Get()
		defer connection.Close()
		found, err := redis.Bytes(connection.Do("GET", "bench:list"))
		if err != nil {
			c.JSON(http.StatusInternalServerError, gin.H{"error": err.Error()})
			return
		}
		var courses page
		if err := json.Unmarshal(found, &courses); err != nil {
			c.JSON(http.StatusInternalServerError, gin.H{"error": err.Error()})
			return
		}
		c.JSON(http.StatusOK, courses)
	})
	log.Fatal(router.Run("127.0.0.1:" + os.Getenv("PORT")))
}
